/* HTTP/1.x on the wire (RFC 9110, 9112): strict parsers that neither copy nor allocate */
#ifndef ROUTER_HTTP_H
#define ROUTER_HTTP_H

#include "lib/buf.h"
#include <sys/types.h>

/* Node takes 16 kB, Apache 8 kB a line; cookies of several apps fit */
#define HTTP_HEAD_MAX 32768u
#define HTTP_TARGET_MAX 8192u /* RFC 9112 3 asks for at least 8000 */
#define HTTP_FIELDS_MAX 128u
/* rewrite_response adds no more: two cookies (POLICY_COOKIES_MAX), Date, Vary, what compression says, Connection */
#define RESPONSE_ROOM 512u
#define RESPONSE_FIELDS 8u
#define HTTP_METHOD_MAX 32u
#define HTTP_EXT_MAX 4096u     /* chunk extensions of one body, bytes */
#define HTTP_TRAILER_MAX 8192u /* trailer section, bytes */
#define HTTP_HOPS_MAX 1000u    /* of Max-Forwards, as it is passed on */

/* Fields that the router acts on; the others are HTTP_OTHER. */
enum http_id {
	HTTP_OTHER,
	HTTP_HOST,
	HTTP_CONNECTION,
	HTTP_CONTENT_LENGTH,
	HTTP_TRANSFER_ENCODING,
	HTTP_EXPECT,
	HTTP_UPGRADE,
	HTTP_REQUEST_ID,
	HTTP_DATE,
	HTTP_HOP,    /* hop-by-hop: never passed on */
	HTTP_FORGED, /* said by the router alone: dropped from requests */
};

struct http_field {
	uint32_t start, name_len;  /* offsets from the start of the parsed bytes */
	uint32_t value, value_len; /* without surrounding white space */
	uint32_t end;		   /* after CRLF */
	uint8_t id;		   /* enum http_id */
};

enum body_kind {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
	BODY_EOF, /* responses: until the connection closes */
};

struct http_head {
	uint32_t len; /* bytes of the head, leading empty lines included */
	uint32_t method, method_len, target, target_len; /* requests */
	uint32_t host, host_len; /* requests: Host as received, or the authority of
				    absolute-form */
	uint32_t path, path_len; /* requests: origin-form of the target (len 0: "/") */
	uint32_t reason, reason_len; /* responses */
	uint16_t status;	     /* responses */
	uint8_t minor;		     /* HTTP/1.minor, 0 or 1 */
	uint8_t body;		     /* enum body_kind */
	bool absolute;	 /* requests: absolute-form, so Host is written anew */
	bool keep_alive; /* what the sender wants or its version implies */
	bool upgrade;  /* Connection names upgrade and Upgrade names something we pass */
	bool expect;   /* Expect: 100-continue */
	bool has_hops; /* OPTIONS with Max-Forwards */
	uint32_t hops; /* its value, at most HTTP_HOPS_MAX + 1 */
	uint32_t n_fields;
	uint32_t upgrade_field, id_field; /* index + 1; 0 none */
	uint64_t length;		  /* BODY_LENGTH */
	struct http_field fields[HTTP_FIELDS_MAX + RESPONSE_FIELDS];
};

/*
 * Parses a head at p. Returns its length (> 0), 0 when more bytes are needed, or minus
 * the status to answer with (400, 414, 417, 431, 501, 505). Everything ambiguous is
 * refused.
 */
int http_parse_request(const char *p, size_t len, struct http_head *h);
/*
 * The same for a response to a request of method HEAD (head) or another. -502 when
 * malformed.
 */
int http_parse_response(const char *p, size_t len, bool head, struct http_head *h);
/* The same for a head that rewrite_response made: what was added does not count. */
int http_parse_rewritten(const char *p, size_t len, bool head, struct http_head *h);
/*
 * Length of the host name in a valid Host value (port and trailing dot cut), or
 * -EINVAL.
 */
int http_host_name(const char *p, size_t len);
bool http_equal(const char *p, size_t len, const char *lower);
/* enum http_id of a field name. */
uint8_t http_identify(const char *name, size_t len);
/* RFC 9110 6.5.1: what frames or routes a message may not be said behind it. */
bool http_trailer_allowed(const char *name, size_t len);

/* A chunked body, fed in pieces of any size. Zeroed is the start. */
struct chunk {
	uint64_t left;	      /* data bytes of the current chunk still to come */
	uint64_t size;	      /* of all chunks so far; UINT64_MAX: and more */
	struct buf *trailers; /* trailer lines are added to it; NULL: they are dropped */
	uint32_t extra;	      /* extension bytes so far, then trailer bytes */
	uint8_t state, digits, name_len;
	bool strict; /* requests: trailers that an app could take for fields are refused */
	char name[20]; /* of the trailer field, or its beginning */
};

struct body {
	uint8_t kind; /* enum body_kind */
	bool done;
	uint64_t left; /* BODY_LENGTH */
	uint64_t seen; /* bytes taken so far, framing included */
	struct chunk chunk;
};

void body_init(struct body *b, enum body_kind kind, uint64_t length);
/* Bytes of the payload as far as they were announced: by its length, or by each chunk. */
uint64_t body_announced(const struct body *b);
/*
 * How many of the n bytes at p belong to the body (fewer than n only when done);
 * -EBADMSG.
 */
ssize_t body_take(struct body *b, const char *p, size_t n);
/*
 * As body_take, and moves the payload of a chunked body together at p (framing and
 * trailers dropped); *ret_data is its length.
 */
ssize_t body_decode(struct body *b, char *p, size_t n, size_t *ret_data);

#endif
