/* Ports and callers out of tables as the kernel writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/tcp_table.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define HEAD                                                                             \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   " \
	"uid  timeout inode\n"
#define TAIL " 00000000:00000000 00:00000000 00000000  1000        0 1\n"

static void ports_that_are_listened_on_are_found_once(void **state)
{
	char text[] = HEAD "   0: 0100007F:1388 00000000:0000 0A" TAIL
			   "   1: 00000000:1388 00000000:0000 0A" TAIL
			   "   2: 00000000:0BB8 00000000:0000 0A" TAIL
			   "   3: 0100007F:1388 0100007F:C350 01" TAIL "garbage\n";
	char none[] = HEAD;
	uint16_t ports[4];

	(void)state;
	assert_int_equal(tcp_table_ports(text, ports, 0, 4), 2);
	assert_int_equal(ports[0], 5000);
	assert_int_equal(ports[1], 3000);
	assert_int_equal(tcp_table_ports(none, ports, 2, 4), 2);
}

static void only_others_that_called_count(void **state)
{
	char four[] =
		HEAD "   0: 00000000:1388 00000000:0000 0A" TAIL
		     "   1: 0100007F:1388 0100007F:C350 01" TAIL  /* the router */
		     "   2: 070012C6:1388 080012C6:C351 01" TAIL  /* a caller */
		     "   3: 070012C6:C352 010071CB:01BB 01" TAIL  /* its own call out */
		     "   4: 070012C6:1388 090012C6:C353 06" TAIL; /* over already */
	char six[] = HEAD "   0: 00000000000000000000000000000000:1388 "
			  "00000000000000000000000000000000:0000 0A" TAIL
			  "   1: 0000000000000000FFFF00000100007F:1388 "
			  "0000000000000000FFFF00000100007F:C350 01" TAIL
			  "   2: 00000000000000000000000001000000:1388 "
			  "00000000000000000000000001000000:C350 01" TAIL
			  "   3: 0000000000000000FFFF0000070012C6:1388 "
			  "0000000000000000FFFF0000080012C6:C351 01" TAIL
			  "   4: 726562FD00006874000000000700 12C6:1388 bad row" TAIL
			  "   5: 726562FD0000687400000000070012C6:1388 "
			  "726562FD0000687400000000080012C6:C351 01" TAIL;

	(void)state;
	assert_int_equal(tcp_table_callers(four), 1);
	assert_int_equal(tcp_table_callers(six), 2);
}

static void connections_that_nobody_accepted_are_counted(void **state)
{
	char text[] = "Num       RefCount Protocol Flags    Type St Inode Path\n"
		      "000000003b86ae7e: 00000003 00000000 00000000 0001 02     0 "
		      "/proc/self/fd/17/berth\n"
		      "0000000065d0c428: 00000002 00000000 00010000 0001 01 40114994 "
		      "/proc/self/fd/17/berth\n"
		      "000000004b4d7763: 00000003 00000000 00000000 0001 03 40115015 "
		      "/proc/self/fd/17/berth\n"
		      "0000000000000000: 00000003 00000000 00000000 0001 02 0 /run/own\n"
		      "0000000000000000: 00000003 00000000 00000000 0001 02 0 "
		      "/proc/self/fd/17/berthed\n"
		      "0000000000000000: 00000003 00000000 00000000 0001 02 0\n";
	char none[] = "Num       RefCount Protocol Flags    Type St Inode Path\n";

	(void)state;
	assert_int_equal(unix_table_waiting(text), 1);
	assert_int_equal(unix_table_waiting(none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_that_are_listened_on_are_found_once),
		cmocka_unit_test(connections_that_nobody_accepted_are_counted),
		cmocka_unit_test(only_others_that_called_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
