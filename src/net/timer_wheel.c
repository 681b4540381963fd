/* timer_wheel.c - Hierarchical timing wheel with bitmaps of used slots, so that idle time is skipped, not walked. */
#include "net/timer_wheel.h"

#include <string.h>

#include "base/clock.h"

#define SLOT_BITS 8
#define FIRING_SLOT UINT32_MAX
#define RANGE_TICKS (INT64_C(1) << (SLOT_BITS * SW_WHEEL_LEVELS))

static void link_into(struct sw_timer **head, struct sw_timer *timer, uint32_t slot) {
    timer->next = *head;
    timer->link = head;
    timer->slot = slot;
    if (*head) {
        (*head)->link = &timer->next;
    }
    *head = timer;
}

static void unlink_timer(struct sw_timer *timer) {
    struct sw_timer_wheel *wheel = timer->wheel;
    *timer->link = timer->next;
    if (timer->next) {
        timer->next->link = timer->link;
    }
    timer->link = NULL;
    timer->next = NULL;
    if (timer->slot != FIRING_SLOT && !wheel->slots[timer->slot]) {
        wheel->used[timer->slot / 64] &= ~(UINT64_C(1) << (timer->slot % 64));
    }
}

/* Puts a timer where its deadline belongs as seen from wheel->tick. Deadlines beyond the wheel's 49 days wait in its
 * last slot and are placed anew when that comes up. */
static void place(struct sw_timer_wheel *wheel, struct sw_timer *timer) {
    int64_t at = timer->deadline_tick > wheel->tick ? timer->deadline_tick : wheel->tick;
    if (at - wheel->tick >= RANGE_TICKS) {
        at = wheel->tick + RANGE_TICKS - 1;
    }
    unsigned level = 0;
    while ((at - wheel->tick) >> (SLOT_BITS * (level + 1))) {
        level++;
    }
    uint32_t index = (uint32_t)(at >> (SLOT_BITS * level)) & (SW_WHEEL_SLOTS - 1);
    uint32_t slot = level * SW_WHEEL_SLOTS + index;
    wheel->used[slot / 64] |= UINT64_C(1) << (slot % 64);
    link_into(&wheel->slots[slot], timer, slot);
}

/* Distance from slot `from` of a level to its next used slot, going round; -1 when the level is empty. */
static int next_used(const struct sw_timer_wheel *wheel, unsigned level, uint32_t from) {
    const uint64_t *used = &wheel->used[level * (SW_WHEEL_SLOTS / 64)];
    for (uint32_t step = 0; step <= SW_WHEEL_SLOTS / 64; step++) {
        uint32_t word = (from / 64 + step) % (SW_WHEEL_SLOTS / 64);
        uint64_t bits = used[word];
        if (step == 0) {
            bits &= UINT64_MAX << (from % 64);
        }
        if (bits) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            return (int)((slot - from) & (SW_WHEEL_SLOTS - 1));
        }
    }
    return -1;
}

/* The next tick at which a slot of level 0 is due or one of a higher level has to be spread over the lower ones. */
static int64_t next_tick(const struct sw_timer_wheel *wheel) {
    int64_t best = INT64_MAX;
    for (unsigned level = 0; level < SW_WHEEL_LEVELS; level++) {
        unsigned shift = SLOT_BITS * level;
        int64_t base = (wheel->tick + (INT64_C(1) << shift) - 1) >> shift;
        int distance = next_used(wheel, level, (uint32_t)base & (SW_WHEEL_SLOTS - 1));
        if (distance >= 0) {
            int64_t tick = (base + distance) << shift;
            best = tick < best ? tick : best;
        }
    }
    return best;
}

static void spread(struct sw_timer_wheel *wheel, uint32_t slot) {
    struct sw_timer *timer = wheel->slots[slot];
    wheel->slots[slot] = NULL;
    wheel->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    while (timer) {
        struct sw_timer *next = timer->next;
        place(wheel, timer);
        timer = next;
    }
}

/* Moves wheel->tick to `tick` (the result of next_tick) and past it; what is due there is in wheel->firing
 * afterwards. */
static void step_to(struct sw_timer_wheel *wheel, int64_t tick) {
    wheel->tick = tick;
    for (unsigned level = SW_WHEEL_LEVELS - 1; level > 0; level--) {
        unsigned shift = SLOT_BITS * level;
        if ((tick & ((INT64_C(1) << shift) - 1)) == 0) {
            spread(wheel, level * SW_WHEEL_SLOTS + ((uint32_t)(tick >> shift) & (SW_WHEEL_SLOTS - 1)));
        }
    }
    uint32_t slot = (uint32_t)tick & (SW_WHEEL_SLOTS - 1);
    struct sw_timer *timer = wheel->slots[slot];
    wheel->slots[slot] = NULL;
    wheel->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    wheel->tick = tick + 1;
    while (timer) {
        struct sw_timer *next = timer->next;
        if (timer->deadline_tick > tick) {
            place(wheel, timer); /* touched since it was placed */
        } else {
            link_into(&wheel->firing, timer, FIRING_SLOT);
        }
        timer = next;
    }
}

static int64_t tick_at_or_after(int64_t time_ns) {
    return time_ns / SW_NS_PER_MS + (time_ns % SW_NS_PER_MS > 0);
}

void sw_timer_wheel_init(struct sw_timer_wheel *wheel, int64_t now_ns) {
    *wheel = (struct sw_timer_wheel){.tick = now_ns / SW_NS_PER_MS};
}

void sw_timer_wheel_add(struct sw_timer_wheel *wheel, struct sw_timer *timer, int64_t deadline_ns) {
    sw_timer_wheel_cancel(timer);
    timer->wheel = wheel;
    timer->deadline_tick = tick_at_or_after(deadline_ns);
    wheel->count++;
    place(wheel, timer);
}

void sw_timer_wheel_touch(struct sw_timer_wheel *wheel, struct sw_timer *timer, int64_t deadline_ns) {
    int64_t tick = tick_at_or_after(deadline_ns);
    if (timer->link && timer->slot != FIRING_SLOT && tick >= timer->deadline_tick) {
        timer->deadline_tick = tick;
    } else {
        sw_timer_wheel_add(wheel, timer, deadline_ns);
    }
}

void sw_timer_wheel_cancel(struct sw_timer *timer) {
    if (timer->link) {
        unlink_timer(timer);
        timer->wheel->count--;
    }
}

bool sw_timer_is_armed(const struct sw_timer *timer) {
    return timer->link != NULL;
}

bool sw_timer_wheel_advance(struct sw_timer_wheel *wheel, int64_t now_ns, size_t limit) {
    int64_t target = now_ns / SW_NS_PER_MS;
    for (size_t fired = 0;;) {
        while (wheel->firing) {
            if (fired++ == limit) {
                return true;
            }
            struct sw_timer *timer = wheel->firing;
            sw_timer_wheel_cancel(timer);
            timer->fn(timer->context);
        }
        int64_t tick = next_tick(wheel);
        if (tick > target) {
            break;
        }
        step_to(wheel, tick);
    }
    if (wheel->tick <= target) {
        wheel->tick = target + 1;
    }
    return false;
}

int64_t sw_timer_wheel_next_ns(const struct sw_timer_wheel *wheel) {
    if (wheel->firing) {
        return 0;
    }
    int64_t tick = next_tick(wheel);
    return tick > INT64_MAX / SW_NS_PER_MS ? INT64_MAX : tick * SW_NS_PER_MS;
}
