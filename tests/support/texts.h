/* texts.h -- files in the folder of a test, and all that a reader of text makes of them */
#ifndef TEXTS_H
#define TEXTS_H

#include "base/log.h"
#include "base/str.h"
#include "io/text.h"
#include "support/root.h"

static inline void put(const char *name, const void *data, size_t size)
{
    OK(pha__write_file(in_root(name), data, size));
}

static inline void puts_file(const char *name, const char *text) { put(name, text, strlen(text)); }

static inline void quiet(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level, (void)text;
}

/* Reads everything: documents separated by '|', and '/' where a piece of a document ends. */
static inline pha_status read_all(pha__str *out, const char *const *paths, size_t n, const pha__text_options *options,
                           pha__text_stats *stats)
{
    pha__text *t;
    pha__piece piece;
    pha_status status = pha__text_open(&t, paths, n, options);
    bool open = false;
    pha__str_clear(out);
    while (status == PHA_OK) {
        status = pha__text_next(t, &piece);
        if (status != PHA_OK || !piece.data) break;
        assert_true(piece.begins == !open && piece.size > 0);
        open = !piece.ends;
        pha__str_add(out, piece.data, piece.size);
        pha__str_puts(out, open ? "/" : "|");
    }
    if (status == PHA_OK) assert_false(open);
    if (stats && status == PHA_OK) pha__text_get_stats(t, stats);
    pha__text_close(t);
    return status;
}

static inline void fresh(void)
{
    OK(pha__remove_tree(root));
    OK(pha__mkdirs(root));
}

#endif
