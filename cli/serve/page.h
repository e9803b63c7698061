/* page.h -- the files of the page, laid into the program when it is built (cmake/embed.cmake) */
#ifndef CLI_SERVE_PAGE_H
#define CLI_SERVE_PAGE_H

#include <stddef.h>

typedef struct PageFile {
    const char *name; /* NULL ends the list */
    const unsigned char *data;
    size_t size;
} PageFile;
extern const PageFile page_files[];

#endif
