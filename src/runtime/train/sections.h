/* sections.h -- gradients in the order in which the backward pass ends with them: while it goes on, ranks sum them
 *
 * The numbers of a section are neighbours in the layout. Those of the last layers come first.
 */
#ifndef PHA__SECTIONS_H
#define PHA__SECTIONS_H

#include "dist/reduction.h"
#include "runtime/train/lanes.h"
#include "runtime/train/optimizer.h"

enum { PHA__MOST_SECTIONS = PHA__RUN_PIECES - 1 };

typedef struct pha__section {
    int64_t begin, end; /* elements of the layout of learned parameters */
    int ready;          /* the step behind which they are done */
} pha__section;

typedef struct pha__sections {
    pha__lanes *lanes;
    pha__reduction *reduction;
    pha__section of[PHA__MOST_SECTIONS]; /* by `ready` */
    int steps[PHA__MOST_SECTIONS];       /* their different values, ascending */
    int n, n_steps, added;
} pha__sections;

/* Of several ranks, by all together: once the program is planned (its executor is open) and the devices are joined. All
 * that is passed outlives it. */
pha_status pha__sections_open(pha__sections *s, const pha__program *p, pha__lanes *lanes, pha__optimizer *optimizer);
void pha__sections_close(pha__sections *s); /* a zeroed one is allowed */

/* The next run is the last one of this rank in a step, or (false) it is not. */
void pha__sections_watch(pha__sections *s, pha__exec *e, bool last);
/* Behind all runs, whatever came of them: the sums over all ranks, each of the part that its optimizer updates. */
pha_status pha__sections_end(pha__sections *s);

#endif
