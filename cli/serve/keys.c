/* keys.c -- reading keys, and comparing them */
#include "serve/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "read.h"
#include "serve/log.h"

enum { MOST_KEYS = 10000, MOST_LINE = 1024 };

static void free_keys(Key *key, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        explicit_bzero(key[i].key, key[i].size);
        free(key[i].key);
    }
    free(key);
}

/* What is kept belongs to a name. One key may have none; two could not be told apart when the file has changed. */
static const char NO_NAME[] = ":key"; /* which no line can give */

static const char *conflict(const Key *key, size_t n, const Key *k)
{
    bool unnamed = strcmp(k->name, NO_NAME) == 0;
    for (size_t i = 0; i < n; i++) {
        if (key[i].size == k->size && memcmp(key[i].key, k->key, k->size) == 0) return "is a key that is there already";
        if (unnamed && strcmp(key[i].name, NO_NAME) == 0)
            return "is a second key without a name: say NAME:KEY, since texts and states are kept by name";
    }
    return NULL;
}

/* A line without its end; false: it is no key. Keys are not repeated in messages. */
static bool add_line(Key **keys, size_t *n, char *line, size_t number, const char *path, char *why)
{
    char *colon = strchr(line, ':'), *key = colon ? colon + 1 : line;
    size_t name = colon ? (size_t)(colon - line) : 0, size = strlen(key);
    if (size < 8 || strspn(key, " \t") || name >= sizeof (*keys)->name || *n == MOST_KEYS) {
        snprintf(why, 300, "%.150s: line %zu is not NAME:KEY or KEY with a key of at least 8 characters", path, number);
        return false;
    }
    Key *grown = realloc(*keys, (*n + 1) * sizeof **keys);
    if (!grown) return snprintf(why, 300, "no memory for keys"), false;
    *keys = grown;
    Key *k = &grown[*n];
    *k = (Key){.key = strdup(key), .size = size};
    if (!k->key) return snprintf(why, 300, "no memory for keys"), false;
    snprintf(k->name, sizeof k->name, "%.*s", name ? (int)name : (int)sizeof NO_NAME, name ? line : NO_NAME);
    const char *wrong = conflict(*keys, (*n)++, k);
    if (wrong) snprintf(why, 300, "%.150s: line %zu %s", path, number, wrong);
    return !wrong;
}

static bool read_lines(Key **keys, size_t *n, FILE *f, const char *path, char *why)
{
    char line[MOST_LINE];
    bool good = true;
    for (size_t number = 1; good && fgets(line, sizeof line, f); number++) {
        size_t size = strcspn(line, "\r\n");
        if (!line[size] && size + 1 == sizeof line) {
            snprintf(why, 300, "%.150s: line %zu is too long", path, number);
            good = false;
        }
        line[size] = 0;
        if (good && size && line[0] != '#') good = add_line(keys, n, line, number, path, why);
    }
    explicit_bzero(line, sizeof line);
    return good;
}

bool keys_reread(Keys *k, char *why)
{
    Key *keys = NULL;
    size_t n = 0;
    if (!k->path) return true;
    const char *what;
    FILE *f = read_open(k->path, &what);
    if (!f) return snprintf(why, 300, "%.150s: %s", k->path, what), false;
    struct stat file;
    if (fstat(fileno(f), &file) == 0 && file.st_mode & S_IROTH)
        log_note("pha serve: warning: %s: everybody on this machine can read these keys; chmod o-r", k->path);
    bool good = read_lines(&keys, &n, f, k->path, why);
    if (good && ferror(f)) snprintf(why, 300, "%.150s: %s", k->path, strerror(errno)), good = false;
    if (good && n == 0) snprintf(why, 300, "%.150s: no key in it", k->path), good = false;
    fclose(f);
    if (!good) return free_keys(keys, n), false;
    pthread_rwlock_wrlock(&k->lock);
    Key *old = k->key;
    size_t n_old = k->n;
    k->key = keys, k->n = n;
    pthread_rwlock_unlock(&k->lock);
    free_keys(old, n_old);
    return true;
}

bool keys_open(Keys *k, const char *path, char *why)
{
    *k = (Keys){.path = path};
    pthread_rwlock_init(&k->lock, NULL);
    return keys_reread(k, why);
}

void keys_close(Keys *k)
{
    free_keys(k->key, k->n);
    pthread_rwlock_destroy(&k->lock);
    *k = (Keys){0};
}

/* All of the longer text is walked, whatever differs where. */
static bool equal(const char *a, size_t n_a, const char *b, size_t n_b)
{
    unsigned different = n_a != n_b;
    for (size_t i = 0; i < n_a; i++) different |= (unsigned char)a[i] ^ (unsigned char)b[n_b ? i % n_b : 0];
    return different == 0;
}

bool keys_find(Keys *k, const char *key, char *name)
{
    size_t size = key ? strlen(key) : 0, found = 0;
    pthread_rwlock_rdlock(&k->lock);
    for (size_t i = 0; i < k->n && size; i++)
        if (equal(key, size, k->key[i].key, k->key[i].size)) found = i + 1;
    if (found) snprintf(name, 64, "%s", k->key[found - 1].name);
    pthread_rwlock_unlock(&k->lock);
    return found > 0;
}
