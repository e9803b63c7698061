/* stop.h -- the request to stop, as long work sees it (pha_request_stop sets it) */
#ifndef PHA__STOP_H
#define PHA__STOP_H

#include <stdbool.h>

bool pha__stop_requested(void);

#endif
