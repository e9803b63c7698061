/* subject.h -- a model folder or a configuration, opened to be looked at; and what all views write with */
#ifndef PHA__SUBJECT_H
#define PHA__SUBJECT_H

#include "base/str.h"
#include "runtime/model.h"

typedef struct pha__subject {
    const char *path;
    char *inner;         /* the model of a run, if that was given; path is the same then */
    pha__config config;
    pha_model *model;    /* NULL: only a configuration */
    pha__program *names; /* recorded at B = T = 1; parameters and their shapes, and what the pieces show */
    json_t *as_json;     /* the configuration */
} pha__subject;

/* path: a model folder, a run folder (its model, with a note), a folder with only config.json, or a configuration
 * file. */
pha_status pha__subject_open(pha__subject *s, const char *path);
void pha__subject_close(pha__subject *s); /* a zeroed one is allowed */

/* Adds a JSON value as text with a final newline and releases it. */
pha_status pha__add_json(pha__str *out, json_t *value);

/* 125072068 as "125,072,068". */
typedef struct pha__number {
    char text[32];
} pha__number;
pha__number pha__digits(uint64_t n);

#endif
