/* What the router says itself: H codes, their statuses and words, and the small pages. */
#include "router/worker.h"
#include <stdio.h>
#include <string.h>

static const struct code {
	const char *name, *desc;
	unsigned int status;
} codes[] = {
	[H_NONE] = {"", "", 500},
	[H10] = {"H10", "App crashed", 503},
	[H11] = {"H11", "Backlog too deep", 503},
	[H12] = {"H12", "Request timeout", 504},
	[H13] = {"H13", "Connection closed without response", 502},
	[H15] = {"H15", "Idle connection", 503},
	[H17] = {"H17", "Poorly formatted HTTP response", 502},
	[H18] = {"H18", "Server Request Interrupted", 503},
	[H19] = {"H19", "Backend connection timeout", 503},
	[H20] = {"H20", "App boot timeout", 503},
	[H21] = {"H21", "Backend connection refused", 503},
	[H27] = {"H27", "Client Request Interrupted", 499},
	[H28] = {"H28", "Client Connection Idle", 408},
	[H80] = {"H80", "Maintenance mode", 503},
	[H99] = {"H99", "Platform error", 503},
};
_Static_assert(sizeof(codes) / sizeof(codes[0]) == H_COUNT, "a row for each code");

static const struct words {
	unsigned int status;
	const char *reason, *text;
} words[] = {
	{301, "Moved Permanently", "It is found at another address."},
	{308, "Permanent Redirect", "It is found at another address."},
	{400, "Bad Request", "The request is malformed."},
	{401, "Unauthorized", "A name and a password are needed here."},
	{404, "Not Found", "There is nothing at this address."},
	{408, "Request Timeout", "The request took too long to arrive."},
	{413, "Content Too Large", "The request body is too large."},
	{414, "URI Too Long", "The address is too long."},
	{417, "Expectation Failed", "The expectation is not supported."},
	{429, "Too Many Requests", "Please wait a moment before the next one."},
	{431, "Request Header Fields Too Large", "The request head is too large."},
	{501, "Not Implemented",
		"The method, transfer coding or upgrade is not supported."},
	{502, "Bad Gateway", "The application did not answer properly."},
	{503, "Service Unavailable", "The application is not available right now."},
	{504, "Gateway Timeout", "The application did not answer in time."},
	{505, "HTTP Version Not Supported",
		"Only HTTP/1.0 and HTTP/1.1 are spoken here."},
};

unsigned int respond_status(enum hcode code)
{
	return codes[code].status;
}

const char *respond_desc(enum hcode code)
{
	return codes[code].desc;
}

const char *respond_name(enum hcode code)
{
	return codes[code].name;
}

static const struct words *find(unsigned int status)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(words) - 1 && words[i].status != status; i++)
		;
	return &words[i];
}

/* Head and page, in one send where the room behind the head takes it. */
static size_t send_page(
	struct downstream *c, size_t len, size_t room, struct page own, bool head)
{
	char *out = c->w->cold;
	bool join = !head && own.len <= room - len;

	if (join)
		memcpy(out + len, own.html, own.len);
	/* a client that is gone is noticed by its event */
	if (downstream_send(c, out, join ? len + own.len : len) < 0 || head)
		return 0;
	if (!join)
		(void)!downstream_send(c, own.html, own.len);
	return own.len;
}

size_t respond_page(struct downstream *c, unsigned int status, struct page own, bool head,
	bool keep_alive)
{
	const struct words *p = find(status);
	char body[256];
	int len;

	if (!own.len) {
		own.html = body;
		own.len = (size_t)snprintf(body, sizeof(body),
			"<!doctype html><title>%u %s</title><h1>%s</h1><p>%s</p>\n",
			p->status, p->reason, p->reason, p->text);
	}
	len = snprintf(c->w->cold, HOT_SIZE,
		"HTTP/1.1 %u %s\r\nDate: %s\r\n%sContent-Type: text/html; "
		"charset=utf-8\r\n"
		"Content-Length: %zu\r\nCache-Control: no-store\r\nConnection: "
		"%s\r\n\r\n",
		p->status, p->reason, c->w->date, own.fields ? own.fields : "", own.len,
		keep_alive ? "keep-alive" : "close");
	return send_page(c, (size_t)len, HOT_SIZE, own, head);
}
