/* cuts.h -- where a text may be cut so that encoding the parts equals encoding the whole
 *
 * A tokenizer says which of these hold for it (tokenizer/cuts.c); text_cut.c finds the places in a text.
 */
#ifndef PHA__CUTS_H
#define PHA__CUTS_H

typedef enum pha__cuts {
    PHA__CUT_NOWHERE = 0,
    PHA__CUT_BLANK = 1,    /* before a blank that follows what is no white space */
    PHA__CUT_LINE_END = 2, /* before other white space that follows what is no white space */
    PHA__CUT_LINE = 4      /* behind a line's end, before what is no white space */
} pha__cuts;

#endif
