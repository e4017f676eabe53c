/* How far apart two short names are, for "did you mean". */
#ifndef CONTROL_NEAREST_H
#define CONTROL_NEAREST_H

/* Letters to insert, drop, change, or swap with their neighbour; names over 63 bytes are
 * 255 apart from all. */
unsigned int nearest_distance(const char *a, const char *b);

#endif
