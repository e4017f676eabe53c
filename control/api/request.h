/*
 * One request to the API: what its route promises, what the handlers read and answer. A
 * row of the table (table.c) says which fields and query words are taken, whether the
 * app must exist, and what the audit trail calls it; what the row does not allow never
 * reaches the handler.
 */
#ifndef CONTROL_REQUEST_H
#define CONTROL_REQUEST_H

#include "control/access/access.h"
#include "control/access/auth.h"
#include "control/control.h"
#include <stdatomic.h>

struct MHD_Connection;
struct MHD_Response;
struct git_http;
struct request;

enum field_type { FIELD_STRING, FIELD_BOOL, FIELD_INT, FIELD_OBJECT, FIELD_ARRAY };
struct field {
	const char *name; /* NULL ends the list */
	enum field_type type;
	bool required;
};

enum route_flags {
	ROUTE_APP = 1 << 0, /* the path's first parameter is an app that exists: r->app */
	ROUTE_UNLOCKED = 1 << 1,  /* refused while the app is locked */
	ROUTE_ANY_FIELD = 1 << 2, /* the handler checks the body's fields itself */
	ROUTE_BODY_APP = 1 << 3,  /* the same of the body's field app, beside the path */
	ROUTE_ANYWHERE = 1 << 4,  /* the role on any app is enough: the answer shows only
				     what may be seen */
	ROUTE_ANYONE = 1 << 5,	  /* no role: the handler decides */
};

struct route {
	const char *method;
	const char *path; /* a segment of one capital letter is a parameter */
	/* Checks and, without run, does. 0 or negative after request_fail. */
	int (*handle)(struct request *r);
	/* A stream (docs/API.md): called in a thread of its own once handle agreed. 0 or
	 * -errno with e. */
	int (*run)(struct request *r, struct sink *s, struct err *e);
	const char *audit; /* the event's name; NULL: changes nothing */
	const struct field *fields;
	const char *query; /* words separated by a space; NULL: none */
	unsigned int flags;
	/* ROLE_NONE: for GET view (logs: of logs; deploy: of config and drains), else deploy on what the path names, admin of the host */
	enum role role;
	/* The field of the answer's rows that names their app: of apps that the asker may not
	 * see none is shown. */
	const char *of;
};
extern const struct route api_table[];
extern const size_t api_table_len;

enum fail {
	FAIL_USAGE,	/* 400, exit 2 */
	FAIL_NO_APP,	/* 404, exit 20 */
	FAIL_MISSING,	/* 404 */
	FAIL_METHOD,	/* 405 */
	FAIL_CONFLICT,	/* 409 */
	FAIL_LOCKED,	/* 409 */
	FAIL_FORBIDDEN, /* 403 */
	FAIL_TOKEN,	/* 401 */
	FAIL_BUSY,	/* 429 */
	FAIL_TOO_LARGE, /* 413, exit 2 */
	FAIL_BERTH,	/* 500 */
	FAIL_START,	/* 500, exit 125: a one-off could not be started */
	FAIL_KINDS,
};

struct failure {
	enum fail kind;
	bool set;
	char text[ERR_TEXT_MAX], hint[256];
};

#define REQUEST_ARGS_MAX 2

struct request {
	struct control *c;
	const struct route *route;
	struct identity who;
	struct access access;
	struct MHD_Connection
		*connection; /* NULL once an operation runs: it outlives it */
	int fd;		     /* of the connection; for its thread only */
	char *path;	     /* cut at its slashes; args point into it */
	const char *args[REQUEST_ARGS_MAX];
	struct db_app app; /* with ROUTE_APP */
	json_t *body;	   /* an object, never NULL in a handler */
	struct buf upload;
	struct buf query; /* what the trail tells of it, once there is no connection */
	bool too_large;
	/* the answer */
	unsigned int status;	       /* 0: 200 */
	json_t *reply;		       /* NULL: {} */
	struct MHD_Response *response; /* set: sent in place of reply */
	struct failure failure;
	struct git_http *git; /* one of git's requests (git_http.h), or NULL */
	/* handlers' own */
	void *data;
	void (*data_free)(void *data);
	void (*serve)(void *data, int sock, const char *read, size_t n); /* frames.h */
	atomic_int refs;
};

/* Failing: a sentence that names the thing, the cause; then perhaps the next command.
 * Return -1. */
int request_fail(struct request *r, enum fail kind, const char *fmt, ...) PRINTF(3, 4);
int request_hint(struct request *r, const char *fmt, ...) PRINTF(2, 3);
/* The database answered code (-errno) while doing what: FAIL_BERTH. Returns -1. */
int request_fail_db(struct request *r, int code, const char *what);
/*
 * What change does to the database is one transaction: all of it, or nothing when it returns -1; what it looked at holds until
 * then. It asks nobody else. what: for request_fail_db. Returns what it returned, or -1.
 */
int request_whole(struct request *r, const char *what,
	int (*change)(struct request *r, void *arg), void *arg);
/* -1 with the rule in the message when name is no valid name. noun: "app". */
int request_name(struct request *r, const char *noun, const char *name);
/* Finds an app by name, with a hint at the nearest one; what the asker may not see is not there. 0 or -1. */
int request_app(struct request *r, const char *name, struct db_app *ret);
/* -1 when the app takes no changes now. */
int request_unlocked(struct request *r, const struct db_app *app);

/* A query word's value or NULL. */
const char *request_query(struct request *r, const char *name);
/* As a number within [min, max]; absent: fallback. 0 or -1. */
int request_query_u64(struct request *r, const char *name, uint64_t min, uint64_t max,
	uint64_t fallback, uint64_t *ret);
/* A field of the body; NULL or the fallback when absent or null. The types were checked.
 */
const char *request_string(struct request *r, const char *name);
bool request_bool(struct request *r, const char *name, bool fallback);
json_t *request_json(struct request *r, const char *name);
/* 0 or -1; absent: fallback. */
int request_u64(struct request *r, const char *name, uint64_t min, uint64_t max,
	uint64_t fallback, uint64_t *ret);

/* Answers with v (taken over) and the status. Returns 0, or -1 when v is NULL (out of
 * memory). */
int request_reply(struct request *r, unsigned int status, json_t *v);
/* Checks the body against the row: unknown, missing or wrongly typed fields. 0 or -1. */
int request_check_body(struct request *r);
/* The failure as JSON text, to be freed; NULL out of memory. *ret_status: of HTTP. */
char *request_failure_text(const struct request *r, unsigned int *ret_status);

/* A time as the API writes it; JSON null for 0. */
json_t *json_stamp(uint64_t time_us);

#endif
