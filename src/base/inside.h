/* inside.h -- does what is read lie in what will be replaced? */
#ifndef PHA__INSIDE_H
#define PHA__INSIDE_H

#include <stdbool.h>

/* Is `path`, behind all links, the folder or anything in it, however both are spelt? False where one does not exist, or
 * where the folder is none. */
bool pha__is_inside(const char *path, const char *folder);

#endif
