/* Sessions of nghttp2: limits on noise, callbacks, options. */
#include "router/h2_session.h"

bool h2_noisy(struct h2_noise *b, uint64_t now_ms)
{
	uint64_t leaked = (now_ms - b->since_ms) * H2_NOISE_PER_S / 1000;

	if (leaked) {
		b->n = b->n > leaked ? b->n - (uint32_t)leaked : 0;
		b->since_ms = now_ms;
	}
	return ++b->n > H2_NOISE_MAX;
}

nghttp2_session_callbacks *h2_callbacks(const struct h2_calls *calls)
{
	nghttp2_session_callbacks *k;

	if (nghttp2_session_callbacks_new(&k))
		return NULL;
	nghttp2_session_callbacks_set_on_header_callback(k, calls->header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(
		k, calls->invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(k, calls->frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
		k, calls->invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(k, calls->data);
	nghttp2_session_callbacks_set_on_stream_close_callback(k, calls->close);
	nghttp2_session_callbacks_set_on_frame_send_callback(k, calls->sent);
	return k;
}

nghttp2_option *h2_option(void)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o))
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_max_outbound_ack(o, H2_NOISE_MAX);
	return o;
}
