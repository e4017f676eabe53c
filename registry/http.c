/* One question over HTTP, by libcurl. */
#include "registry/http.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct exchange {
	CURL *curl;
	const struct http_request *q;
	struct http_answer *a;
	struct err *e;
	uint64_t sent; /* of the body */
	bool begun;
	int result; /* of take and of reading the body */
	char detail[CURL_ERROR_SIZE];
};

/* ---- what libcurl calls ---- */

static void copy(char *out, size_t size, const char *value, size_t len)
{
	len = len < size ? len : 0; /* cut ones would be something else */
	memcpy(out, value, len);
	out[len] = '\0';
}

static void add_challenge(struct http_answer *a, const char *value, size_t len)
{
	size_t used = strlen(a->challenge);

	if (used + len + 3 < sizeof(a->challenge))
		snprintf(a->challenge + used, sizeof(a->challenge) - used, "%s%.*s",
			used ? ", " : "", (int)len, value);
}

static void add_range(struct http_answer *a, const char *value, size_t len)
{
	char text[24];
	size_t n;

	if (len < 6 || strncasecmp(value, "bytes ", 6) != 0)
		return;
	n = strspn(value + 6, "0123456789");
	copy(text, sizeof(text), value + 6, n);
	if (num_parse_u64(text, 0, UINT64_MAX, &a->from) < 0)
		a->from = UINT64_MAX;
}

/* The value, without blanks around, when the line is of that header. */
static const char *value_of(
	const char *line, size_t len, const char *name, size_t *ret_len)
{
	size_t n = strlen(name);

	if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return NULL;
	for (n++; n < len && (line[n] == ' ' || line[n] == '\t'); n++)
		;
	while (len > n && strchr(" \t\r\n", line[len - 1]))
		len--;
	*ret_len = len - n;
	return line + n;
}

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
	struct exchange *x = arg;
	struct http_answer *a = x->a;
	size_t n;
	const char *v;

	if (len > 5 && strncmp(line, "HTTP/", 5) == 0) { /* also after a 100 */
		curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &a->status);
		a->type[0] = a->digest[0] = a->location[0] = a->challenge[0] = '\0';
		a->from = 0;
	} else if ((v = value_of(line, len, "content-type", &n))) {
		copy(a->type, sizeof(a->type), v, n);
	} else if ((v = value_of(line, len, "docker-content-digest", &n))) {
		copy(a->digest, sizeof(a->digest), v, n);
	} else if ((v = value_of(line, len, "location", &n))) {
		copy(a->location, sizeof(a->location), v, n);
	} else if ((v = value_of(line, len, "www-authenticate", &n))) {
		add_challenge(a, v, n);
	} else if ((v = value_of(line, len, "content-range", &n))) {
		add_range(a, v, n);
	}
	return len * one;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct exchange *x = arg;
	struct http_answer *a = x->a;
	bool good = a->status == 200 || a->status == 206;
	size_t most = good ? x->q->text_max : HTTP_ERROR_MAX;

	if (good && x->q->take) {
		x->result = x->q->take(x->q->arg, a, !x->begun, data, len * one);
		x->begun = true;
		return x->result < 0 ? 0 : len * one;
	}
	if (a->text.len + len * one > most) {
		if (good)
			x->result = err_set(x->e, EFBIG,
				"the answer is longer than %zu kB", most >> 10);
		return good ? 0 : len * one;
	}
	if (buf_add(&a->text, data, len * one) < 0)
		x->result = err_set(x->e, ENOMEM, "out of memory");
	return x->result < 0 ? 0 : len * one;
}

static size_t on_read(char *out, size_t one, size_t len, void *arg)
{
	struct exchange *x = arg;
	const struct http_request *q = x->q;
	uint64_t left = q->body_size - x->sent;
	size_t want = len * one < left ? len * one : (size_t)left;
	ssize_t n = pread(q->body_fd, out, want, (off_t)(q->body_offset + x->sent));

	if (n < 0 || (n == 0 && left > 0)) {
		x->result = err_sys(x->e, n < 0 ? errno : EIO, "read what is to be sent");
		return CURL_READFUNC_ABORT;
	}
	x->sent += (uint64_t)n;
	return (size_t)n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *x = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->q->body_size)
		return CURL_SEEKFUNC_CANTSEEK;
	x->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t down_total UNUSED, curl_off_t down UNUSED,
	curl_off_t up_total UNUSED, curl_off_t up)
{
	struct exchange *x = arg;

	x->q->moved(x->q->arg, (uint64_t)up);
	return 0;
}

/* ---- the question ---- */

static struct curl_slist *add_header(
	struct curl_slist *list, const char *name, const char *value)
{
	autobuf line = BUF_INIT;

	if (!value)
		return list;
	buf_addf(&line, "%s: %s", name, value);
	struct curl_slist *longer =
		line.failed ? NULL : curl_slist_append(list, line.data);
	return longer ? longer : list;
}

static struct curl_slist *headers(const struct http_request *q)
{
	struct curl_slist *list = NULL;

	list = add_header(list, "Authorization", q->authorization);
	list = add_header(list, "Accept", q->accept);
	if (q->has_body) {
		list = add_header(list, "Content-Type", q->content_type);
		list = curl_slist_append(list, "Expect:");
	}
	return list;
}

static void set_method(CURL *curl, struct exchange *x)
{
	const struct http_request *q = x->q;

	if (strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	if (strcmp(q->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
	}
	if (!q->has_body)
		return;
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, x);
	curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(curl, CURLOPT_SEEKDATA, x);
	curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_size);
}

static void set_limits(CURL *curl, const struct http_request *q)
{
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, HTTP_CONNECT_S);
	if (!q->take && !q->has_body)
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, HTTP_SMALL_S);
	curl_easy_setopt(
		curl, CURLOPT_LOW_SPEED_TIME, q->has_body ? HTTP_STORE_S : HTTP_STALL_S);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, HTTP_STALL_BYTES);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 1L << 18);
	curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 18);
}

static void set_all(CURL *curl, struct exchange *x, struct curl_slist *list)
{
	const struct http_request *q = x->q;

	curl_easy_reset(curl); /* connections stay */
	curl_easy_setopt(curl, CURLOPT_URL, q->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, q->plain ? "http,https" : "https");
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->detail);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (q->direct)
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	if (q->from) {
		char range[32];

		snprintf(range, sizeof(range), "%llu-", (unsigned long long)q->from);
		curl_easy_setopt(curl, CURLOPT_RANGE, range);
	}
	if (q->moved) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
	}
	set_method(curl, x);
	set_limits(curl, q);
}

/* ---- the answer ---- */

static int failed(const struct exchange *x, CURLcode code)
{
	static const struct {
		CURLcode code;
		int error;
	} kinds[] = {{CURLE_SSL_CONNECT_ERROR, EPROTO},
		{CURLE_PEER_FAILED_VERIFICATION, EKEYREJECTED},
		{CURLE_SSL_CACERT_BADFILE, EKEYREJECTED},
		{CURLE_COULDNT_RESOLVE_HOST, EHOSTUNREACH},
		{CURLE_COULDNT_RESOLVE_PROXY, EHOSTUNREACH},
		{CURLE_COULDNT_CONNECT, EHOSTUNREACH},
		{CURLE_UNSUPPORTED_PROTOCOL, EINVAL}, {CURLE_URL_MALFORMAT, EINVAL},
		{CURLE_OUT_OF_MEMORY, ENOMEM}};
	int error = EAGAIN;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].code == code)
			error = kinds[i].error;
	return err_set(
		x->e, error, "%s", x->detail[0] ? x->detail : curl_easy_strerror(code));
}

int http_do(
	CURL *curl, const struct http_request *q, struct http_answer *a, struct err *e)
{
	struct exchange x = {.curl = curl, .q = q, .a = a, .e = e};
	struct curl_slist *list = headers(q);

	http_answer_free(a);
	set_all(curl, &x, list);
	CURLcode code = curl_easy_perform(curl);
	curl_slist_free_all(list);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->status);
	if (x.result < 0)
		return x.result;
	return code == CURLE_OK ? 0 : failed(&x, code);
}

void http_answer_free(struct http_answer *a)
{
	buf_free(&a->text);
	*a = (struct http_answer){0};
}
