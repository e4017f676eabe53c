/* What the packet filter of the host does by default. */
#include "lib/firewall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void a_firewall_that_drops_is_seen(void **state UNUSED)
{
	static const char list[] = "table inet berth_1 {\n\tchain forward {\n\t\ttype "
				   "filter hook forward priority filter - 10; policy "
				   "accept;\n\t}\n}\n"
				   "table bridge x {\n\tchain f {\n\t\ttype filter hook "
				   "forward priority 0; policy drop;\n\t}\n}\n"
				   "table ip filter {\n\tchain INPUT {\n\t\ttype filter "
				   "hook input priority filter; policy drop;\n\t}\n";
	static const char drop[] = "\tchain FORWARD {\n\t\ttype filter hook forward "
				   "priority filter; policy drop;\n\t}\n}\n";
	char table[64], both[sizeof(list) + sizeof(drop)];

	assert_false(firewall_drops(list, "forward", table));
	snprintf(both, sizeof(both), "%s%s", list, drop);
	assert_true(firewall_drops(both, "forward", table));
	assert_string_equal(table, "ip filter");
	assert_false(firewall_drops("", "forward", table));
	assert_false(firewall_drops(NULL, "forward", table));
	assert_true(firewall_drops(both, "input", table));
	assert_false(firewall_drops(both, "output", table));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_firewall_that_drops_is_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
