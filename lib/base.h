/* The words every file may use: cleanup attributes, ownership moves, small macros. */
#ifndef LIB_BASE_H
#define LIB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define UNUSED __attribute__((unused))

static inline void autofree_(void *p)
{
	free(*(void **)p);
}

static inline void autoclose_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* char *s autofree = ...;  int fd autoclose = -1; */
#define autofree __attribute__((cleanup(autofree_)))
#define autoclose __attribute__((cleanup(autoclose_)))

/* Move ownership out of an autofree/autoclose variable. */
#define TAKE_PTR(p)                                                                      \
	({                                                                               \
		__typeof__(p) take_ = (p);                                               \
		(p) = NULL;                                                              \
		take_;                                                                   \
	})
#define TAKE_FD(fd)                                                                      \
	({                                                                               \
		int take_ = (fd);                                                        \
		(fd) = -1;                                                               \
		take_;                                                                   \
	})

#endif
