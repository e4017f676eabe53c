/*
 * git over HTTP, at the API's hostname: https://ANYTHING:TOKEN@HOST/APP[.git]. The three requests of the smart protocol
 * (git-http-backend(1)); who may is decided by the route that berth-shell asks, and git runs as it does over ssh, as the ssh
 * user in its confinement: berthd starts berth-shell (MSG_GIT), and bytes go through here. Its hooks speak to us over a
 * connection with the request's token.
 */
#ifndef CONTROL_GIT_HTTP_H
#define CONTROL_GIT_HTTP_H

#include "control/api/request.h"

struct git_http;

/* What a path names. False: none of git's. */
struct git_path {
	char app[NAME_MAX_LEN + 1]; /* "": not one valid name */
	bool push, advertise;	    /* of advertise the query says which service */
};
bool git_path_parse(const char *url, struct git_path *ret);
/* The password of Basic credentials. 0, or -EINVAL: none, or longer than size. */
int git_http_password(const char *header, char *out, size_t size);

/*
 * r->git for one of git's requests, which came over the router; from then on the others are called in this order. NULL: it
 * is none, or r failed.
 */
struct git_http *git_http_new(struct request *r, const char *url);
/* Checks and starts. 0 or -1 after request_fail. */
int git_http_begin(struct request *r, const char *method);
/* A piece of the body; waits for git to take it. What nobody wants any more is dropped. */
void git_http_take(struct request *r, const char *data, size_t len);
/* The body is whole: sets r->response once git has begun to answer. 0 or -1 after request_fail. */
int git_http_answer(struct request *r);
/* The failure as people read it; the caller's, NULL: out of memory. */
char *git_http_failure(const struct request *r);
/* NULL is fine. */
void git_http_free(struct git_http *g);

#endif
