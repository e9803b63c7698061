/* look.c -- the files of the text, before anything is made of them */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/inside.h"
#include "base/mem.h"
#include "io/stream.h"
#include "io/text.h"
#include "runtime/new/new.h"
#include "runtime/stop.h"

/* Less than this has no held-out part to speak of. */
enum { LEAST = 4096, PIECE = 1 << 20 };
/* What a byte of a compressed file is, about. */
static const double COMPRESSED = 3.5;

static pha_status hash_file(pha__hasher *h, const pha__text_file *file)
{
    pha__map map;
    TRY(pha__map_open(&map, file->path));
    pha_status status = PHA_OK;
    for (size_t i = 0; i < map.size && !status; i += PIECE) {
        if (pha__stop_requested()) status = pha__fail(PHA_STOPPED, "asked to stop while the text was looked at");
        else pha__hasher_add(h, map.data + i, map.size - i < PIECE ? map.size - i : PIECE);
    }
    pha__hasher_add(h, &file->size, sizeof file->size); /* where one file ends and the next begins */
    pha__map_close(&map);
    return status;
}

/* What is made lies in no folder that is read; it may not be there yet. */
static pha_status check_apart(const char *out, const char *text)
{
    char *at;
    TRY(pha__resolve(&at, out));
    for (char *slash; !pha__exists(at) && (slash = strrchr(at, '/')) && slash != at;) *slash = 0;
    bool inside = pha__is_inside(at, text);
    pha__free(at);
    if (inside)
        FAIL(USAGE, "%s: lies in %s, so the model would learn from its own files; choose another --out", out, text);
    return PHA_OK;
}

static pha_status add(pha__text_list *list, const char *path, const char *out)
{
    struct stat st;
    if (!path) FAIL(USAGE, "a text is NULL");
    if (!strcmp(path, "-"))
        FAIL(USAGE, "the text is read more than once, and again when it goes on: name files, not -");
    if (stat(path, &st) != 0) FAIL(IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        FAIL(USAGE, "%s: is neither a file nor a folder; the text is read more than once", path);
    if (out && S_ISDIR(st.st_mode)) TRY(check_apart(out, path));
    return pha__text_list_add(list, path, NULL);
}

static pha_status hash_all(pha__look *look, const pha__text_list *list)
{
    pha__hasher *h = pha__hasher_open();
    if (!h) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    for (size_t i = 0; i < list->n && !status; i++) status = hash_file(h, &list->files[i]);
    look->identity = pha__hasher_value(h);
    pha__hasher_close(h);
    return status;
}

pha_status pha__look_at(pha__look *look, const pha_new_options *o)
{
    pha__text_list list = {0};
    *look = (pha__look){0};
    if (!o->inputs || o->n_inputs == 0) FAIL(USAGE, "there is no text: name a file or a folder");
    pha_status status = PHA_OK;
    for (size_t i = 0; i < o->n_inputs && !status; i++) status = add(&list, o->inputs[i], o->out);
    look->files = list.n, look->bytes = list.bytes;
    if (!status && list.n == 0) status = pha__fail(PHA_BAD_INPUT, "%s: holds no file", o->inputs[0]);
    if (!status && list.bytes < LEAST)
        status = pha__fail(PHA_BAD_INPUT, "%s: %llu bytes are too little to learn from; %d are the least",
                           o->inputs[0], (unsigned long long)list.bytes, LEAST);
    for (size_t i = 0; i < list.n; i++) {
        const char *name = list.files[i].name;
        look->text += (double)list.files[i].size * (pha__stream_stem(name) < strlen(name) ? COMPRESSED : 1);
    }
    if (!status) status = hash_all(look, &list);
    pha__text_list_free(&list);
    return status;
}

pha_status pha__need_room(const char *path, double bytes)
{
    struct statvfs at;
    char *here;
    TRY(pha__resolve(&here, path));
    for (char *slash; statvfs(here, &at) != 0 && errno == ENOENT && (slash = strrchr(here, '/')) && slash != here;)
        *slash = 0;
    bool known = statvfs(here, &at) == 0;
    pha__free(here);
    double free_bytes = known ? (double)at.f_bavail * (double)at.f_frsize : INFINITY;
    if (bytes <= free_bytes) return PHA_OK;
    FAIL(IO, "%s: there are %.0f MB free, and this takes up to %.0f MB; make room, or choose another place", path,
         free_bytes / 1e6, bytes / 1e6);
}
