/* What sessions of nghttp2 have in common, with clients (h2.c) and with apps (h2c.c). */
#ifndef ROUTER_H2_SESSION_H
#define ROUTER_H2_SESSION_H

#include "lib/base.h"
#include <nghttp2/nghttp2.h>

/*
 * Frames that cost us and give nothing (resets, pings, settings, priorities, empty data, malformed ones): so many at once,
 * and so many a second. A browser that leaves a page resets all its streams.
 */
#define H2_NOISE_MAX 256u
#define H2_NOISE_PER_S 32u

/* A bucket that leaks. */
struct h2_noise {
	uint32_t n;
	uint64_t since_ms; /* the caller's clock, from the start */
};
/* One more. True: it went over the edge, and the connection ends (RFC 9113 10.5). */
bool h2_noisy(struct h2_noise *b, uint64_t now_ms);

struct h2_calls {
	nghttp2_on_header_callback header;
	nghttp2_on_invalid_header_callback invalid_header;
	nghttp2_on_frame_recv_callback frame;
	nghttp2_on_invalid_frame_recv_callback invalid_frame;
	nghttp2_on_data_chunk_recv_callback data;
	nghttp2_on_stream_close_callback close;
	nghttp2_on_frame_send_callback sent;
};
/* Both NULL without memory. */
nghttp2_session_callbacks *h2_callbacks(const struct h2_calls *calls);
nghttp2_option *h2_option(void);

#endif
