/* What the router counts: for people by app, for Prometheus as OpenMetrics 1.0. */
#include "control/network/metrics.h"
#include "control/api/handlers.h"
#include "control/network/routes.h"
#include "control/run/fleet.h"
#include "lib/buf.h"
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

/* Two digits that mean something, as a person writes them. */
static json_t *rounded(double v)
{
	double unit = v < 10 ? 0.01 : 1;

	return json_real((double)(uint64_t)(v / unit + 0.5) * unit);
}

json_t *metrics_json(const struct metrics_row *row)
{
	const struct metrics_slot *s = &row->sum;

	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "per_second",
		rounded(row->per_second), "p50_ms", rounded(metrics_quantile(s, 0.5)),
		"p99_ms", rounded(metrics_quantile(s, 0.99)), "requests",
		(json_int_t)s->requests, "status_4xx", (json_int_t)s->status[3],
		"status_5xx", (json_int_t)s->status[4], "bytes",
		(json_int_t)s->bytes_out);
}

static int by_rate(const void *x, const void *y)
{
	const struct metrics_row *a = x, *b = y;

	if (a->per_second != b->per_second)
		return a->per_second < b->per_second ? 1 : -1;
	return (a->sum.requests < b->sum.requests) - (a->sum.requests > b->sum.requests);
}

/* The rows of one app as one. */
static int by_app(struct metrics_row *rows, int n)
{
	int apps = 0;

	for (int i = 0; i < n; i++) {
		int at = 0;

		while (at < apps && rows[at].sum.app != rows[i].sum.app)
			at++;
		if (at < apps)
			metrics_sum(&rows[at], &rows[i]);
		else
			rows[apps++] = rows[i];
	}
	return apps;
}

int metrics_top(struct request *r)
{
	struct metrics_row *rows autofree = NULL;
	json_t *list = json_array();
	struct db_app app;
	int n = routes_metrics(r->c->routes, &rows);

	n = by_app(rows, n);
	if (n > 0)
		qsort(rows, (size_t)n, sizeof(*rows), by_rate);
	for (int i = 0; i < n; i++) {
		if (db_app_by_id(r->c->db, rows[i].sum.app, &app) < 0)
			continue;
		json_t *o = metrics_json(&rows[i]);

		json_object_set_new(o, "app", json_string(app.name));
		json_array_append_new(list, o);
	}
	return request_reply(r, 200, list);
}

/* ---- OpenMetrics ---- */

struct labelled {
	const struct metrics_row *row;
	char labels[128]; /* app="blog",instance="web.1" */
};

/* The instance's name, "" for what is its app's alone. Names hold no character that would need an escape. */
static void label(struct request *r, const struct metrics_row *row,
	const struct member *m, int members, struct labelled *ret)
{
	struct db_app app = {0};
	char name[48] = "";

	ret->row = row;
	for (int i = 0; i < members; i++)
		if (row->sum.instance && m[i].id == row->sum.instance)
			snprintf(name, sizeof(name), "%s.%u", m[i].type, m[i].number);
	if (db_app_by_id(r->c->db, row->sum.app, &app) < 0 ||
		access_role(&r->access, app.id) < ROLE_VIEW)
		ret->row = NULL;
	snprintf(ret->labels, sizeof(ret->labels),
		"app=\"%s\",instance=\"%s\",id=\"%llu\"", app.name, name,
		(unsigned long long)row->sum.instance);
}

static void add_statuses(struct buf *out, const struct labelled *l)
{
	for (unsigned int k = 0; k < 5; k++)
		if (l->row->sum.status[k])
			buf_addf(out, "berth_requests_total{%s,code=\"%uxx\"} %llu\n",
				l->labels, k + 1,
				(unsigned long long)l->row->sum.status[k]);
}

/* An octave a line: 64 us, 128 us .. 67 s. */
static void add_latencies(struct buf *out, const struct labelled *l)
{
	const struct metrics_slot *s = &l->row->sum;
	unsigned long long sum = 0;

	for (uint32_t i = 0; i < METRICS_BUCKETS; i++) {
		sum += s->latency[i];
		if (i % 4 == 0 && i + 4 < METRICS_BUCKETS)
			buf_addf(out,
				"berth_request_duration_seconds_bucket{%s,le=\"%g\"} "
				"%llu\n",
				l->labels, (double)metrics_bucket_us(i) / 1e6, sum);
	}
	buf_addf(out, "berth_request_duration_seconds_bucket{%s,le=\"+Inf\"} %llu\n",
		l->labels, sum);
	buf_addf(out, "berth_request_duration_seconds_sum{%s} %.6f\n", l->labels,
		(double)s->sum_us / 1e6);
	buf_addf(out, "berth_request_duration_seconds_count{%s} %llu\n", l->labels, sum);
}

static void add_errors(struct buf *out, const struct labelled *l)
{
	buf_addf(out, "berth_router_errors_total{%s} %llu\n", l->labels,
		(unsigned long long)l->row->sum.errors);
}

static void add_bytes(struct buf *out, const struct labelled *l)
{
	buf_addf(out, "berth_response_bytes_total{%s} %llu\n", l->labels,
		(unsigned long long)l->row->sum.bytes_out);
}

static const struct family {
	const char *head;
	void (*add)(struct buf *out, const struct labelled *l);
} families[] = {
	{"# TYPE berth_requests counter\n"
	 "# HELP berth_requests Requests answered, by the hundreds of their status.\n",
		add_statuses},
	{"# TYPE berth_router_errors counter\n"
	 "# HELP berth_router_errors Requests that ended with an H code.\n",
		add_errors},
	{"# TYPE berth_response_bytes counter\n"
	 "# UNIT berth_response_bytes bytes\n"
	 "# HELP berth_response_bytes Bytes of response bodies.\n",
		add_bytes},
	{"# TYPE berth_request_duration_seconds histogram\n"
	 "# UNIT berth_request_duration_seconds seconds\n"
	 "# HELP berth_request_duration_seconds From the request's head to the "
	 "response's end.\n",
		add_latencies},
};

static void add_page(struct request *r, struct buf *out)
{
	struct metrics_row *rows autofree = NULL;
	struct member *m autofree = NULL;
	int n = routes_metrics(r->c->routes, &rows),
	    members = fleet_list(r->c, 0, "web", &m);
	struct labelled *l autofree = calloc(n > 0 ? (size_t)n : 1, sizeof(*l));

	for (int i = 0; l && i < n; i++)
		label(r, &rows[i], m, members, &l[i]);
	for (size_t k = 0; k < ARRAY_LEN(families); k++) {
		buf_adds(out, families[k].head);
		for (int i = 0; l && i < n; i++)
			if (l[i].row)
				families[k].add(out, &l[i]);
	}
	buf_adds(out, "# EOF\n");
}

int metrics_page(struct request *r)
{
	autobuf out = {.max = 64 << 20};

	add_page(r, &out);
	if (out.failed)
		return request_fail(r, FAIL_BERTH, "out of memory");
	r->response =
		MHD_create_response_from_buffer(out.len, out.data, MHD_RESPMEM_MUST_COPY);
	if (!r->response)
		return request_fail(r, FAIL_BERTH, "out of memory");
	MHD_add_response_header(r->response, "Content-Type",
		"application/openmetrics-text; version=1.0.0; charset=utf-8");
	MHD_add_response_header(
		r->response, "Connection", "close"); /* its end is the page's */
	return 0;
}
