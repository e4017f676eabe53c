/* What berth doctor makes of what the host's programs print. */
#include "cli/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEYS "pubkeyauthentication yes\n"

static void sshd_is(const char *config, enum doctor_state state, const char *text)
{
	struct doctor d = {0};

	doctor_sshd_says(&d, "berth", config);
	assert_int_equal(d.state, state);
	if (!strstr(d.text, text))
		fail_msg("%s: %s", config, d.text);
}

static void sshd_tells_its_port_and_whom_it_lets_in(void **state UNUSED)
{
	sshd_is("port 2222\nport 22\n" KEYS, DOCTOR_OK, "on port 2222");
	sshd_is(KEYS "gatewayports no\n", DOCTOR_OK, "on port 22");
	sshd_is("port 22\npubkeyauthentication no\n", DOCTOR_FAILED,
		"PubkeyAuthentication no");
	sshd_is("port 22\n", DOCTOR_FAILED, "no login by key");
	sshd_is(KEYS "allowusers ann\nallowusers berth\nallowusers bob\n", DOCTOR_OK,
		"lets berth in");
	sshd_is(KEYS "allowusers ann berth\n", DOCTOR_OK, "lets berth in");
	sshd_is(KEYS "allowusers b?rt*\n", DOCTOR_OK, "lets berth in");
	sshd_is(KEYS "allowusers berth@10.0.0.0/8\n", DOCTOR_OK, "lets berth in");
	sshd_is(KEYS "allowusers berthadmin\nallowusers ann@berth\n", DOCTOR_FAILED,
		"AllowUsers is berthadmin");
}

static void firewall_is(const char *rules, enum doctor_state state, const char *text)
{
	struct doctor d = {0};

	doctor_firewall_says(&d, rules);
	assert_int_equal(d.state, state);
	assert_string_equal(d.text, text);
}

/* As nft prints them: berth's own table first, whose chains accept. */
#define OWN                                                                              \
	"table inet berth_1 {\n\tchain input {\n\t\ttype filter hook input priority "    \
	"filter - 10; policy accept;\n\t}\n\tchain forward {\n\t\ttype filter hook "     \
	"forward priority filter - 10; policy accept;\n\t}\n}\n"
#define DROP(hook)                                                                       \
	"table inet filter {\n\tchain x {\n\t\ttype filter hook " hook                   \
	" priority filter; policy drop;\n\t}\n}\n"

static void a_table_behind_one_that_accepts_is_seen(void **state UNUSED)
{
	firewall_is(OWN, DOCTOR_OK, "the host drops nothing by default");
	firewall_is(OWN DROP("input"), DOCTOR_WARNING,
		"the host drops what arrives by default");
	firewall_is(OWN DROP("forward"), DOCTOR_WARNING,
		"the host drops what apps send by default");
	firewall_is(OWN DROP("input") DROP("forward"), DOCTOR_WARNING,
		"the host drops what arrives and what apps send by default");
}

static void a_controller_is_a_whole_word(void **state UNUSED)
{
	assert_true(doctor_has_word("cpuset cpu io\n", "cpu"));
	assert_true(doctor_has_word("cpuset pids\n", "pids"));
	assert_false(doctor_has_word("cpuset io\n", "cpu"));
	assert_false(doctor_has_word("", "cpu"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sshd_tells_its_port_and_whom_it_lets_in),
		cmocka_unit_test(a_table_behind_one_that_accepts_is_seen),
		cmocka_unit_test(a_controller_is_a_whole_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
