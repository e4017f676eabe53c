/* A file system and a folder of programs, small enough to copy, for berthd_stage_test.h. */
#ifndef RUNTIME_BERTHD_FILES_TEST_H
#define RUNTIME_BERTHD_FILES_TEST_H

#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/runtime.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <cmocka.h>

static char top[64], bin[256];

static void join(char out[PATH_MAX], const char *folder, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);

	assert_in_range(n, 1, PATH_MAX - 1);
}

static void path_of(char out[PATH_MAX], const char *name)
{
	join(out, top, name);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	int in = open(from, O_RDONLY | O_CLOEXEC),
	    out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	struct stat st;

	assert_true(in >= 0 && out >= 0);
	assert_int_equal(fstat(in, &st), 0);
	while (sendfile(out, in, NULL, (size_t)st.st_size) > 0)
		;
	assert_int_equal(fchmod(out, mode), 0);
	close(in);
	close(out);
}

/* The shell of this host with what it is linked to: a file system small enough to copy.
 */
static void copy_mapped(const char *fs, const char *word)
{
	autobuf maps = BUF_INIT;
	char *at, *start, from[PATH_MAX], to[PATH_MAX];

	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/maps", &maps), 0);
	at = strstr(maps.data, word);
	assert_non_null(at);
	start = at;
	while (*start != ' ')
		start--;
	snprintf(from, sizeof(from), "%.*s", (int)strcspn(start + 1, "\n"), start + 1);
	/* usr-merged: the folder lib stands for usr/lib. */
	join(to, fs, from);
	at = strrchr(to, '/');
	*at = '\0';
	assert_int_equal(io_mkdirs(to, 0755), 0);
	*at = '/';
	copy_file(from, to, 0755);
}

static void own(const char *path)
{
	assert_int_equal(lchown(path, RUNTIME_DISK_UID_BASE, RUNTIME_DISK_UID_BASE), 0);
}

static void own_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char sub[PATH_MAX];

	own(path);
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		join(sub, path, e->d_name);
		if (e->d_type == DT_DIR)
			own_tree(sub);
		else
			own(sub);
	}
	if (d)
		closedir(d);
}

static void make_layer(void)
{
	static const char *const folders[] = {
		"app", "bin", "dev", "etc", "proc", "tmp", "usr/lib", "usr/bin"};
	static const char *const links[][2] = {
		{"usr/lib", "lib"}, {"usr/lib64", "lib64"}};
	char fs[PATH_MAX], path[PATH_MAX];

	path_of(fs, "state/layers/0000000000000001/fs");
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		join(path, fs, folders[i]);
		assert_int_equal(io_mkdirs(path, 0755), 0);
	}
	join(path, fs, "usr/lib64");
	assert_int_equal(io_mkdirs(path, 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		join(path, fs, links[i][1]);
		assert_int_equal(symlink(links[i][0], path), 0);
	}
	copy_mapped(fs, "/libc.so.6\n");
	copy_mapped(fs, "/ld-linux");
	/* The name that programs have built in for their loader. */
	join(path, fs, "usr/lib64/ld-linux-x86-64.so.2");
	if (access(path, F_OK) < 0)
		copy_file("/lib64/ld-linux-x86-64.so.2", path, 0755);
	join(path, fs, "bin/sh");
	copy_file("/bin/dash", path, 0755);
	join(path, fs, "bin/sleep");
	copy_file("/bin/sleep", path, 0755);
	own_tree(fs);
	/* As if it had been committed long ago. */
	path_of(path, "state/layers/0000000000000001/synced");
	copy_file("/dev/null", path, 0600);
}

static void make_programs(void)
{
	static const char *const real[] = {"berthd", "berth-init", "berth-logger"};
	static const char *const stood_in[] = {"berth-control", "berth-router"};
	char from[PATH_MAX], to[PATH_MAX];

	snprintf(bin, sizeof(bin), "%s/bin", top);
	assert_int_equal(io_mkdirs(bin, 0755), 0);
	join(to, bin, "packs");
	assert_int_equal(io_mkdirs(to, 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(real); i++) {
		snprintf(from, sizeof(from), "build/bin/%s", real[i]);
		join(to, bin, real[i]);
		copy_file(from, to, 0755);
	}
	for (size_t i = 0; i < ARRAY_LEN(stood_in); i++) {
		join(to, bin, stood_in[i]);
		copy_file("/proc/self/exe", to, 0755);
	}
}

#endif
