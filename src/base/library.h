/* library.h -- parts of the program in shared libraries of their own, which are loaded when they are asked for */
#ifndef PHA__LIBRARY_H
#define PHA__LIBRARY_H

#include "base/status.h"

/* Fills a pointer to a function (`size` bytes) from a library: the file that the environment's `variable` names, or
 * else NAME beside the executable, or where the loader looks. It stays loaded. NO_DEVICE: it is not there, or is none
 * of this program; the message begins with `what` and ends with `help`. */
pha_status pha__library_function(void *function, size_t size, const char *name, const char *variable,
                                 const char *symbol, const char *what, const char *help);

#endif
