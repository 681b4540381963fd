/* timer_wheel.h - Timers on a hierarchical wheel of 4 levels x 256 slots of 1 ms: add, cancel and touch in O(1).
 *
 * The caller owns the timers (they are embedded in its structures) and passes the time; the wheel allocates nothing and
 * reads no clock. A timer never fires early. Most code uses the wheel through reactor.h. One thread owns it.
 */
#ifndef SW_NET_TIMER_WHEEL_H
#define SW_NET_TIMER_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SW_WHEEL_LEVELS 4
#define SW_WHEEL_SLOTS 256

struct sw_timer_wheel;

typedef void (*sw_timer_fn)(void *context);

/* Zero is a timer that is not armed. While armed it must stay where it is in memory. */
struct sw_timer {
    struct sw_timer *next;
    struct sw_timer **link;       /* what points at this timer; NULL while not armed */
    struct sw_timer_wheel *wheel; /* where it is armed */
    int64_t deadline_tick;
    uint32_t slot;
    sw_timer_fn fn;
    void *context;
};

struct sw_timer_wheel {
    struct sw_timer *slots[SW_WHEEL_LEVELS * SW_WHEEL_SLOTS];
    uint64_t used[SW_WHEEL_LEVELS * SW_WHEEL_SLOTS / 64]; /* one bit per slot that holds a timer */
    struct sw_timer *firing;                              /* due, not yet called */
    int64_t tick;                                         /* everything before it has been fired */
    size_t count;                                         /* armed timers */
};

void sw_timer_wheel_init(struct sw_timer_wheel *wheel, int64_t now_ns);
/* Arms `timer`, whose fn and context are set; an armed one is moved. A deadline in the past fires at the next
 * advance. */
void sw_timer_wheel_add(struct sw_timer_wheel *wheel, struct sw_timer *timer, int64_t deadline_ns);
/* As add, but a later deadline only writes one field: the timer finds out when its old slot comes up. */
void sw_timer_wheel_touch(struct sw_timer_wheel *wheel, struct sw_timer *timer, int64_t deadline_ns);
void sw_timer_wheel_cancel(struct sw_timer *timer); /* no-op when not armed */
bool sw_timer_is_armed(const struct sw_timer *timer);

/* Fires what is due at `now_ns`, at most `limit` timers; callbacks may add, cancel and free any timer, the firing one
 * too. True if due timers are left. */
bool sw_timer_wheel_advance(struct sw_timer_wheel *wheel, int64_t now_ns, size_t limit);
/* When advance has something to do next: never later than the earliest deadline, INT64_MAX when empty. */
int64_t sw_timer_wheel_next_ns(const struct sw_timer_wheel *wheel);

#endif
