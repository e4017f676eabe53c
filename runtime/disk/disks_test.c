/* Devices and their disks, in a folder that stands for /sys. */
#include "lib/io.h"
#include "runtime/disk/disks.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char sys[64];

static void put(const char *name, const char *text)
{
	char path[160], *slash;

	snprintf(path, sizeof(path), "%s/%s", sys, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(io_mkdirs(path, 0755), 0);
	*slash = '/';
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

/* As the kernel lays it out: dev/block holds links into devices. */
static void point(const char *number, const char *to)
{
	char path[160], target[160];

	snprintf(path, sizeof(path), "%s/dev/block", sys);
	assert_int_equal(io_mkdirs(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/dev/block/%s", sys, number);
	snprintf(target, sizeof(target), "../../%s", to);
	assert_int_equal(symlink(target, path), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(sys, sizeof(sys), "/tmp/berth-disks-XXXXXX");
	if (!mkdtemp(sys))
		return -1;
	put("devices/pci/sda/dev", "8:0\n");
	put("devices/pci/sda/sda2/dev", "8:2\n");
	put("devices/pci/sda/sda2/partition", "2\n");
	put("devices/virtual/dm-0/dev", "253:0\n");
	point("8:0", "devices/pci/sda");
	point("8:2", "devices/pci/sda/sda2");
	point("253:0", "devices/virtual/dm-0");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, sys);
}

static void a_partition_counts_as_its_whole_disk(void **state)
{
	struct disk d;

	(void)state;
	assert_int_equal(disk_of(sys, 8, 2, &d), 0);
	assert_int_equal(d.major, 8);
	assert_int_equal(d.minor, 0);
}

static void a_disk_and_a_mapped_device_are_themselves(void **state)
{
	struct disk d;

	(void)state;
	assert_int_equal(disk_of(sys, 8, 0, &d), 0);
	assert_int_equal(d.minor, 0);
	assert_int_equal(disk_of(sys, 253, 0, &d), 0);
	assert_int_equal(d.major, 253);
}

static void a_file_system_without_a_device_has_none(void **state)
{
	struct disks all;
	struct disk d;
	struct err e;
	int proc autoclose = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(disk_of(sys, 0, 42, &d), -ENODEV);
	assert_int_equal(disks_of(&proc, 1, &all, &e), -ENODEV);
	assert_non_null(strstr(e.text, "no block device"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_partition_counts_as_its_whole_disk),
		cmocka_unit_test(a_disk_and_a_mapped_device_are_themselves),
		cmocka_unit_test(a_file_system_without_a_device_has_none),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
