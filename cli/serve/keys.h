/* keys.h -- who may ask: keys from a file, one a line, "NAME:KEY"; one may be without a name */
#ifndef CLI_SERVE_KEYS_H
#define CLI_SERVE_KEYS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Key {
    char name[64];
    char *key;
    size_t size;
} Key;

typedef struct Keys {
    pthread_rwlock_t lock;
    const char *path; /* NULL: no keys, everybody may ask */
    Key *key;
    size_t n;
} Keys;

/* False: *why (300 bytes) says what is wrong with the file. */
bool keys_open(Keys *k, const char *path, char *why);
bool keys_reread(Keys *k, char *why); /* the keys stay as they were after a failure */
void keys_close(Keys *k);
/* In a time that depends on the lengths only. *name (64 bytes): whose key it is. */
bool keys_find(Keys *k, const char *key, char *name);

#endif
