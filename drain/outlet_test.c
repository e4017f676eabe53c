/* Which drains there are, and what apps are called; control is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "drain/outlet.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static unsigned int asked, room;

/* As a socket that is full. */
static void ask(struct outlet *o UNUSED, struct app_log *l)
{
	l->asked = room > 0;
	if (!room)
		return;
	room--;
	asked++;
}

static void tell(struct outlet *o UNUSED, const struct drain *d UNUSED, bool well UNUSED,
	const char *text UNUSED)
{
}

static void make_folder(const char *state, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", state, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static struct app_log *log_of(struct outlet *o, uint32_t app)
{
	struct app_log *l = logs_first(o->logs);

	while (l && l->app != app)
		l = l->next;
	return l;
}

static void begin(struct outlet *o, char *state)
{
	struct err e = {0};
	json_t *said;

	*o = (struct outlet){
		.loop = loop_new(), .state = state, .ask = ask, .tell = tell};
	assert_non_null(mkdtemp(state));
	make_folder(state, "logs");
	make_folder(state, "logs/7");
	make_folder(state, "logs/8");
	make_folder(state, "logs/9");
	make_folder(state, "control");
	make_folder(state, "control/drains");
	assert_int_equal(outlet_open(o, &e), 0);
	said = json_pack("{s:i, s:i, s:s}", "drain", 1, "app", 0, "url", "file:all.log");
	assert_int_equal(outlet_put(o, said, &e), 0);
	json_decref(said);
	outlet_settle_list(o);
}

static void end(struct outlet *o, const char *state)
{
	outlet_settle_list(o); /* none was named */
	assert_null(o->first);
	logs_free(o->logs);
	loop_free(o->loop);
	io_remove_tree(AT_FDCWD, state);
}

static void names_that_control_had_no_room_for_are_asked_again(void **state UNUSED)
{
	char folder[] = "/tmp/berth-drain.XXXXXX";
	static struct outlet o; /* libcurl stays for the life of the program */

	asked = 0;
	room = 1;
	begin(&o, folder);
	assert_int_equal(asked, 1);
	assert_non_null(o.asking);
	while (asked < 3) {
		if (!room)
			room = 1;
		assert_non_null(o.asking);
		assert_int_equal(loop_once(o.loop, -1), 0);
	}
	assert_int_equal(asked, 3);
	for (const struct app_log *l = logs_first(o.logs); l; l = l->next)
		assert_true(l->asked);
	end(&o, folder);
}

static void an_app_may_get_another_name(void **state UNUSED)
{
	char folder[] = "/tmp/berth-drain.XXXXXX";
	static struct outlet o; /* libcurl stays for the life of the program */

	room = 3;
	begin(&o, folder);
	outlet_name(&o, 7, "blog");
	assert_string_equal(log_of(&o, 7)->name, "blog");
	outlet_name(&o, 7, "journal");
	assert_string_equal(log_of(&o, 7)->name, "journal");
	/* of one that no drain reads nothing is kept */
	outlet_name(&o, 12, "shop");
	assert_null(log_of(&o, 12));
	end(&o, folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_control_had_no_room_for_are_asked_again),
		cmocka_unit_test(an_app_may_get_another_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
