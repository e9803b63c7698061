/* watch.h -- what the pieces of a model show of themselves
 *
 * A piece says at recording time which of its values and parameters are worth seeing, under which name, and how they
 * become a few numbers. Probes, tables and reports read what was said; they know no piece. A program with gradients
 * records none of it.
 */
#ifndef PHA__WATCH_H
#define PHA__WATCH_H

#include "program/program.h"

/* What parameters are counted under in tables. */
typedef struct pha__part {
    const char *name;
    int order; /* among the parts; equal ones by name */
} pha__part;

/* What is recorded with these Params counts under this part, unless something inside says otherwise. */
static inline Params pha__of_part(Params p, const pha__part *part) { return p.part = part, p; }

typedef enum pha__watch_form { PHA__WATCH_NUMBER, PHA__WATCH_LIST, PHA__WATCH_NAMED } pha__watch_form;

enum { /* figures of a report; a name that the report does not know gets PHA__FIGURE_MEAN */
    PHA__FIGURE_BARS = 1,  /* last values, stacked, a bar per layer */
    PHA__FIGURE_MEAN = 2,  /* mean of the layers over the steps */
    PHA__FIGURE_EACH = 4,  /* per label: the layers over the steps */
    PHA__FIGURE_LAYERS = 8 /* last values over the layers */
};

typedef struct pha__label {
    const char *key, *title; /* in files; in tables and figures */
} pha__label;

/* A name under which something is shown: a constant. */
typedef struct pha__watch_row {
    const char *name; /* key of a layer in the log */
    pha__watch_form form;
    int order;        /* among the keys of a layer; equal ones by name */
    const pha__label *labels; /* the known ones in the order in which they are shown, ended by {NULL}; others follow */
    int figures;
    const char *title, *each, *unit, *note; /* of figures and tables; each: begins the title of a label's own figure */
    bool log_scale;
} pha__watch_row;

/* An input of a watch: dense rows. data NULL: this input is absent. */
typedef struct pha__seen {
    const float *data;
    int64_t rows;
    int32_t width;
} pha__seen;

/* Makes the n numbers; false: no memory. */
typedef bool pha__watch_fn(double *out, int n, const pha__seen *in, const void *attr);

typedef struct pha__watching {
    const pha__watch_row *row;
    const char *path; /* of the piece */
    int layer;
    const pha__part *part;
    pha__watch_fn *reduce;
    const char **labels; /* of the n numbers, PHA__WATCH_NAMED only */
    int n;
    Var in[PHA__MAX_IN];
    int n_in;
    const void *attr;
} pha__watching;

/* Says that a layer's piece shows n numbers made of `in` (a NULL is handed on as absent). Everything is copied. Names
 * that several pieces of a layer share are shown together. */
void pha__watch(Params p, const pha__watch_row *row, pha__watch_fn *reduce, const char *const *labels, int n,
                const Var *in, int n_in, const void *attr, size_t attr_size);

/* Orders the watches by layer, name and part, so that nothing depends on the order of recording (a pass). */
void pha__order_watches(pha__program *p);

/* The numbers, after a run of `rows` rows of an executor that keeps them (keep_watched). store: the weights; NULL:
 * initial values. Without an executor only what is made of parameters can be read. */
pha_status pha__watch_read(const pha__watching *w, pha__exec *e, const struct pha__store *store, int64_t rows,
                           double *out);

#endif
