/* rope_table.h -- angles of rotary position: out (B, T, dh) fp32 = [cos(t f_j), j < dh/2 | sin(t f_j)],
 * f_j = theta^(-2j/dh), computed in double from the integer position t (pha.md 2.2)
 *
 * No inputs. State: the position of the session's next token; without state t counts from 0. */
#ifndef PHA__ROPE_TABLE_H
#define PHA__ROPE_TABLE_H

#include "ops/op.h"

typedef struct pha__rope_table_attr {
    int64_t head_width; /* wide, so that there is no padding: attributes are compared as bytes */
    double theta;
} pha__rope_table_attr;

#endif
