/* events.h -- scalars for TensorBoard: an event file (TFRecord framing, protobuf written by hand)
 *
 * Entries gather in a fixed buffer; nothing is allocated between open and close except by the file system.
 */
#ifndef PHA__EVENTS_H
#define PHA__EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct pha__events pha__events;

/* Starts a new file events.out.tfevents.<time>.<host>.<process>.<n> in an existing folder. */
pha_status pha__events_open(pha__events **out, const char *folder);
/* wall_time: seconds since 1970. Tags of more than 200 bytes are cut. */
pha_status pha__events_scalar(pha__events *events, const char *tag, int64_t step, double wall_time, double value);
pha_status pha__events_flush(pha__events *events);
pha_status pha__events_close(pha__events *events); /* flushes and frees; NULL is allowed */

/* CRC-32C (Castagnoli) and TFRecord's mask over it. */
uint32_t pha__crc32c(const void *data, size_t size);
uint32_t pha__crc32c_masked(const void *data, size_t size);

#endif
