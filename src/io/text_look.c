/* text_look.c -- what a file is: not text at all, JSON, WikiText, or plain text in which something is odd */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/print.h"
#include "base/utf8.h"
#include "io/json_text.h"
#include "io/text_impl.h"

enum { LOOK = 8192, MOST_LOOK = 16 << 20, TRIES = 4 };

/* ---- no text -------------------------------------------------------------------------------------------- */

typedef struct mark {
    size_t at, n;
    const char *bytes, *what, *advice;
} mark;

#define MARK(at, bytes, what, advice) { at, sizeof(bytes) - 1, bytes, what, advice }

static const char *const as_text = "save its text in a text file";
static const char *const as_jsonl = "write its texts as JSON lines";

static const mark marks[] = {
    MARK(0, "%PDF-", "a PDF file", as_text),
    MARK(0, "%!PS-Adobe", "a PostScript file", as_text),
    MARK(0, "{\\rtf1", "an RTF document", as_text),
    MARK(0, "PK\3\4", "a zip archive or an Office document", "unpack it, or save its text in a text file"),
    MARK(0, "PK\5\6", "an empty zip archive", "unpack it"),
    MARK(0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", as_text),
    MARK(0, "7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    MARK(0, "Rar!\x1a\x07", "a RAR archive", "unpack it"),
    MARK(257, "ustar", "a tar archive", "unpack it"),
    MARK(0, "\x04\x22\x4d\x18", "compressed by lz4", "compress it with zstd, gzip, xz or bzip2"),
    MARK(0, "LZIP\1", "compressed by lzip", "compress it with zstd, gzip, xz or bzip2"),
    MARK(0, "\x1f\x9d", "compressed by compress", "compress it with zstd, gzip, xz or bzip2"),
    MARK(0, "\x1f\x8b", "compressed twice", "decompress it once"),
    MARK(0, "\x28\xb5\x2f\xfd", "compressed twice", "decompress it once"),
    MARK(0, "PAR1\x15", "a Parquet file", as_jsonl),
    MARK(0, "SQLite format 3\0", "an SQLite database", as_jsonl),
    MARK(0, "\x89HDF\r\n\x1a\n", "an HDF5 file", as_jsonl),
    MARK(0, "\x93NUMPY", "an array of NumPy", NULL),
    MARK(0, "PHATOK\x1a\n", "a shard of tokens", "name the data folder to pha train or pha eval"),
    MARK(0, "\x7f" "ELF", "a program", NULL),
    MARK(0, "\x89PNG\r\n\x1a\n", "an image", NULL),
    MARK(0, "\xff\xd8\xff", "an image", NULL),
    MARK(0, "GIF87a", "an image", NULL),
    MARK(0, "GIF89a", "an image", NULL),
    MARK(0, "II*\0", "an image", NULL),
    MARK(0, "MM\0*", "an image", NULL),
    MARK(8, "WEBPVP8", "an image", NULL),
    MARK(0, "OggS\0", "a sound file", NULL),
    MARK(0, "fLaC\0", "a sound file", NULL),
    MARK(8, "WAVEfmt ", "a sound file", NULL),
    MARK(0, "version https://git-lfs.github.com/spec/", "a pointer of Git LFS", "fetch the file with git lfs pull"),
    MARK(0, "\xff\xfe\0\0", "UTF-32", "convert it: iconv -f UTF-32 -t UTF-8"),
    MARK(0, "\0\0\xfe\xff", "UTF-32", "convert it: iconv -f UTF-32 -t UTF-8"),
    MARK(0, "\xff\xfe", "UTF-16", "convert it: iconv -f UTF-16 -t UTF-8"),
    MARK(0, "\xfe\xff", "UTF-16", "convert it: iconv -f UTF-16 -t UTF-8"),
};

/* White space, and what terminals and old editors put into text. */
static bool is_usual(unsigned char c) { return c >= 0x20 || (c >= '\b' && c <= '\r') || c == 0x1b || c == 0x1a; }

/* Every other byte is mostly zero: ASCII or Latin text in two bytes per character. */
static bool is_utf16(const unsigned char *s, size_t n)
{
    size_t zeros[2] = {0};
    for (size_t i = 0; i < n; i++) zeros[i & 1] += s[i] == 0;
    size_t high = zeros[0] > zeros[1] ? zeros[0] : zeros[1], low = zeros[0] + zeros[1] - high;
    return high > n / 4 && low <= high / 16;
}

/* Not text: says in `why` what it is and what to do about it. */
static bool is_binary(const char *text, size_t n, bool json, char *why, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const mark *m = &marks[i];
        if (n < m->at + m->n || memcmp(s + m->at, m->bytes, m->n) != 0) continue;
        pha__print(why, size, "%s%s%s", m->what, m->advice ? "; " : "", m->advice ? m->advice : "");
        return true;
    }
    if (n > LOOK) n = LOOK;
    const unsigned char *zero = memchr(s, 0, n);
    size_t unusual = 0;
    for (size_t i = 0; i < n; i++) unusual += !is_usual(s[i]);
    if (zero && is_utf16(s, n)) {
        pha__print(why, size, "UTF-16 (byte %td is zero); convert it: iconv -f %s -t UTF-8", zero - s,
                 s[0] ? "UTF-16LE" : "UTF-16BE");
    } else if (zero && !json) {
        pha__print(why, size, "byte %td is zero (a binary file)", zero - s);
    } else if (unusual > n / 16 && !json) {
        pha__print(why, size, "%zu of its first %zu bytes are control characters (a binary file)", unusual, n);
    } else {
        return false;
    }
    return true;
}

/* ---- kinds of text -------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);
    return n > m && strncasecmp(name + n - m, suffix, m) == 0;
}

static bool has_suffix(const char *name, size_t n)
{
    const char *slash = strrchr(name, '/');
    size_t base = slash && (size_t)(slash - name) < n ? (size_t)(slash - name) + 1 : 0;
    return n > base + 1 && memchr(name + base + 1, '.', n - base - 1);
}

/* Does the text begin with JSON objects that have the key? Then *kind is set. The first lines may be damaged. */
static pha_status look_for_json(pha__text *t, bool *found, pha__text_kind *kind)
{
    size_t from = 0;
    *found = false;
    for (int tries = 0; tries < TRIES;) {
        const char *s = t->buffer + t->begin;
        size_t n = t->end - t->begin, at = from;
        if (at == 0) at = pha__text_mark(s, n);
        while (at < n && pha__text_is_blank(s + at, 1)) at++;
        bool array = at < n && s[at] == '[';
        at += array;
        while (at < n && pha__text_is_blank(s + at, 1)) at++;
        if (at == n || s[at] != '{') return PHA_OK;
        pha__json_text text;
        pha__json_found what = pha__json_text_find(&text, s + at, n - at, t->options.text_key);
        if (what == PHA__JSON_TEXT || (what == PHA__JSON_CUT && text.begun)) {
            *found = true;
            *kind = array || memchr(s + at, '\n', text.end) ? PHA__TEXT_VALUES : PHA__TEXT_LINES;
            return PHA_OK;
        }
        const char *newline = memchr(s + at, '\n', n - at);
        if (newline) from = (size_t)(newline - s) + 1, tries++;
        if (newline && !array) continue;
        if (t->stream_end || n >= MOST_LOOK || what != PHA__JSON_CUT) return PHA_OK;
        TRY(pha__text_fill(t, 2 * n));
    }
    return PHA_OK;
}

static bool begins_with(const char *s, size_t n, const char *text)
{
    return n >= strlen(text) && strncasecmp(s, text, strlen(text)) == 0;
}

/* What plain text had better not be. */
static void note_plain(const pha__text *t, bool json)
{
    const char *s = t->buffer + t->begin;
    size_t n = t->end - t->begin;
    while (n && pha__text_is_blank(s, 1)) s++, n--;
    if (json)
        pha__log(PHA__LOG_NOTE, "%s: looks like JSON lines but is read as plain text; name it .jsonl to read its '%s'",
                 t->path, t->options.text_key);
    else if (begins_with(s, n, "<!doctype html") || begins_with(s, n, "<html"))
        pha__log(PHA__LOG_NOTE, "%s: HTML; its markup is read as text", t->path);
    else if (begins_with(s, n, "<?xml"))
        pha__log(PHA__LOG_NOTE, "%s: XML; its markup is read as text", t->path);
}

/* By its name, and where that leaves it open by what it holds. */
static pha_status choose_kind(pha__text *t, const pha__text_file *file)
{
    size_t n = pha__stream_stem(file->name);
    bool lines = ends_with(file->name, n, ".jsonl") || ends_with(file->name, n, ".ndjson") ||
                 ends_with(file->name, n, ".jsonlines");
    bool open = ends_with(file->name, n, ".json") || !has_suffix(file->name, n), json;
    pha__text_kind kind;
    t->kind = lines ? PHA__TEXT_LINES : PHA__TEXT_PLAIN;
    if (ends_with(file->name, n, ".tokens") || ends_with(file->name, n, ".raw")) {
        t->kind = PHA__TEXT_WIKITEXT;
        return PHA_OK;
    }
    TRY(look_for_json(t, &json, &kind));
    if (json && (open || lines)) t->kind = kind;
    if (t->kind != PHA__TEXT_PLAIN || t->options.quiet) return PHA_OK;
    note_plain(t, json);
    if (!json && file->named && ends_with(file->name, n, ".json"))
        pha__log(PHA__LOG_NOTE,
                 "%s: read as plain text: it does not begin with a JSON object that has a text under the key '%s'",
                 t->path, t->options.text_key);
    return PHA_OK;
}

pha_status pha__text_look(pha__text *t, const pha__text_file *file, bool *skip)
{
    char why[256];
    TRY(pha__text_fill(t, LOOK));
    if (pha__text_is_arrow(t->buffer + t->begin, t->end - t->begin)) return t->kind = PHA__TEXT_ARROW, PHA_OK;
    TRY(choose_kind(t, file));
    *skip = is_binary(t->buffer + t->begin, t->end - t->begin, t->kind >= PHA__TEXT_LINES, why, sizeof why);
    if (*skip && file->named) FAIL(BAD_INPUT, "%s: not text: %s", t->path, why);
    if (*skip && !t->options.quiet) pha__log(PHA__LOG_NOTE, "%s: left out: %s", t->path, why);
    return PHA_OK;
}

/* ---- text that is not UTF-8 ----------------------------------------------------------------------------- */

void pha__text_check(pha__text *t, const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text, *zero = memchr(s, 0, size);
    for (; zero; zero = memchr(zero + 1, 0, size - (size_t)(zero + 1 - s))) t->zeros++;
    for (size_t i = 0; i < size;) {
        uint64_t eight;
        int32_t code;
        if (size - i >= 8 && (memcpy(&eight, s + i, 8), !(eight & 0x8080808080808080))) {
            i += 8;
            continue;
        }
        int length = pha__utf8_decode(s + i, size - i, &code);
        if (code < 0 && t->odd++ == 0) t->odd_at = t->handed + i, t->odd_byte = s[i];
        i += (size_t)length;
    }
}

void pha__text_say(const pha__text *t)
{
    if (t->odd)
        pha__log(PHA__LOG_NOTE,
                 "%s: %" PRIu64 " bytes are not UTF-8 (the first, 0x%02x, is byte %" PRIu64 " of the text). They are "
                 "kept as they are; if this is Latin-1 or another encoding, convert it first, say with iconv -f "
                 "WINDOWS-1252 -t UTF-8", t->path, t->odd, (unsigned)t->odd_byte, t->odd_at);
    if (t->zeros) pha__log(PHA__LOG_NOTE, "%s: %" PRIu64 " bytes of the text are zero", t->path, t->zeros);
}
