/* format_panel.h -- the formats whose rows lie in panels, for the table in format.c */
#ifndef PHA__FORMAT_PANEL_H
#define PHA__FORMAT_PANEL_H

#include "base/format.h"

#define PHA__PANEL_FORMAT(name)                                                                                        \
    void pha__pack_##name(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from,        \
                          int64_t ld);                                                                                 \
    void pha__unpack_##name(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to);
PHA__PANEL_FORMAT(f32_panel)
PHA__PANEL_FORMAT(bf16_panel)
PHA__PANEL_FORMAT(f16_panel)
PHA__PANEL_FORMAT(q8)
PHA__PANEL_FORMAT(q4)
#undef PHA__PANEL_FORMAT

#endif
