/* dump_impl.h - The steps of a dump; private to the room. */
#ifndef SW_PROBE_DUMP_IMPL_H
#define SW_PROBE_DUMP_IMPL_H

#include "probe/dump.h"

/* dump_names.c: names of threads, as threading and as the kernel have them */
SW_MUST_USE enum sw_status sw_dump_name_threads(struct sw_dump *dump);
SW_MUST_USE enum sw_status sw_dump_list_others(struct sw_dump *dump);

/* dump_blockers.c: who is waited for, and the cycles in that */
SW_MUST_USE enum sw_status sw_dump_find_blockers(struct sw_dump *dump);

/* dump_guess.c: threads that probably hold a lock, as they have it in reach in code that calls acquire(). Sets the
 * thread's blocker when there is exactly one. */
SW_MUST_USE enum sw_status sw_dump_guess_holder(struct sw_dump *dump, size_t waiter);

/* dump_words.c: the sentence of each thread */
SW_MUST_USE enum sw_status sw_dump_put_words(struct sw_dump *dump);

SW_MUST_USE enum sw_status sw_dump_keep(struct sw_dump *dump, struct sw_str text, struct sw_str *kept);

#endif
