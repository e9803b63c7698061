/* json_memory.h -- jansson's memory: ours while we work with it, everybody else's as before
 *
 * jansson has one allocator for the process, and the program around libpha may use jansson too. What is allocated
 * between enter and leave, on this thread, comes from pha__alloc_small; everything else from the functions that were
 * set before libpha was loaded (malloc, as a rule). Releasing knows the one from the other.
 */
#ifndef PHA__JSON_MEMORY_H
#define PHA__JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>

void pha__json_enter(void);
bool pha__json_leave(void); /* false: an allocation failed since enter */

/* As json_loadb. The first failed allocation ends the parse there and then and gives back all that it had taken:
 * jansson's own ways out of a failed allocation leak, and release twice. NULL and *no_memory, or NULL and the error. */
json_t *pha__json_loadb(const char *text, size_t size, size_t flags, json_error_t *error, bool *no_memory);

#endif
