/* lock.c - Which lock a blocked thread of a target waits for.
 *
 * Up to some 3.13 a lock object points to a semaphore, whose first word is what the thread sleeps on; the object is
 * found by looking for that pointer behind every address in the innermost frame and on the thread's C stack. Later locks
 * are one byte in the object; the thread sleeps on a semaphore of its own, and the word before that is the address of the
 * byte (struct wait_entry of CPython's parking lot).
 */
#include "probe/lock.h"

#include "base/mem.h"
#include "probe/object_impl.h"

#define PARKED_FROM 0x030d0000u /* 3.13 parks for some, 3.14 for all of its locks */
#define LOCK_MUTEX_BYTES 8
#define RLOCK_MUTEX_BYTES 24
#define STACK_SCAN_BYTES (16 * 1024) /* of the C stack, from its top */
#define STACK_PART_BYTES 4096
#define FRAME_SCAN_SLOTS 64
#define TESTED_SLOTS 512 /* words already found to be no lock, by hash */

struct search {
    struct sw_objects *objects;
    uint64_t futex;
    uint64_t tested[TESTED_SLOTS];
    struct sw_lock *lock;
};

static bool kind_of(const struct sw_type *type, enum sw_lock_kind *kind) {
    static const struct {
        const char *name;
        enum sw_lock_kind kind;
    } kinds[] = {
        {"_thread.lock", SW_LOCK_PLAIN},
        {"_thread.RLock", SW_LOCK_REENTRANT},
        {"_queue.SimpleQueue", SW_LOCK_SIMPLE_QUEUE},
        {"_multiprocessing.SemLock", SW_LOCK_SEMAPHORE},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (sw_type_is(type, kinds[i].name)) {
            *kind = kinds[i].kind;
            return true;
        }
    return false;
}

/* Two generations, told apart by their size, as 3.13 changed within its releases. lock: {pointer, weak references, char
 * locked}, later {byte}. RLock: {pointer, owner, count, weak references}, later {byte, owner, level}. */
enum sw_status sw_lock_read(struct sw_objects *objects, uint64_t object, struct sw_lock *lock) {
    struct sw_lock seen = {.address = object};
    uint64_t words[3] = {0};
    const struct sw_type *type = sw_object_type(objects, object);
    if (!kind_of(type, &seen.kind))
        return SW_NOTFOUND;
    uint64_t body = type->basicsize - sw_objects_layout(objects)->object.size;
    bool is_byte = seen.kind == SW_LOCK_PLAIN && body <= LOCK_MUTEX_BYTES;
    bool is_mutex = is_byte || body <= RLOCK_MUTEX_BYTES;
    size_t size = is_byte ? 1 : seen.kind == SW_LOCK_PLAIN ? 17 : 24;
    enum sw_status status = sw_objects_read(objects, object + sw_objects_layout(objects)->object.size, words, size);
    if (status != SW_OK)
        return status;
    if (seen.kind == SW_LOCK_PLAIN) {
        seen.is_locked = is_byte ? words[0] & 1 : (words[2] & 0xff) != 0;
    } else if (seen.kind == SW_LOCK_REENTRANT) {
        seen.is_locked = is_mutex ? words[0] & 1 : words[2] > 0;
        seen.owner = seen.is_locked ? words[1] : 0;
    }
    *lock = seen;
    return SW_OK;
}

/* Whether the object at `word` points to the semaphore. */
static bool test_word(struct search *search, uint64_t word) {
    uint64_t pointer;
    uint64_t *tested = &search->tested[word / 16 % TESTED_SLOTS];
    if (word % 8 != 0 || word < SW_ADDRESS_MIN || word > SW_ADDRESS_MAX || *tested == word)
        return false;
    *tested = word;
    return sw_object_word(search->objects, word, 0, &pointer) == SW_OK && pointer == search->futex &&
           sw_lock_read(search->objects, word, search->lock) == SW_OK;
}

/* The lock, or a bound method of it (whose second word is the lock), in what the innermost frame holds. */
static bool scan_frame(struct search *search, const struct sw_frame *frame) {
    uint64_t slots[FRAME_SCAN_SLOTS];
    size_t count = FRAME_SCAN_SLOTS;
    while (count > 0 && sw_objects_read(search->objects, frame->locals, slots, count * 8) != SW_OK)
        count /= 2; /* the frame is the last thing in mapped memory */
    for (size_t i = 0; i < count; i++) {
        uint64_t self;
        uint64_t object = sw_ref_object(slots[i]);
        if (test_word(search, object))
            return true;
        if (object >= SW_ADDRESS_MIN && object % 8 == 0 && sw_object_word(search->objects, object, 8, &self) == SW_OK &&
            test_word(search, self))
            return true;
    }
    return false;
}

static bool scan_stack(struct search *search, uint64_t sp) {
    uint64_t words[STACK_PART_BYTES / 8];
    uint64_t end = (sp & ~UINT64_C(7)) + STACK_SCAN_BYTES;
    for (uint64_t at = sp & ~UINT64_C(7); sp != 0 && at < end;) {
        size_t size = STACK_PART_BYTES - at % STACK_PART_BYTES; /* up to the end of the page */
        if (sw_objects_read(search->objects, at, words, size) != SW_OK)
            return false;
        for (size_t i = 0; i < size / 8; i++)
            if (test_word(search, words[i]))
                return true;
        at += size;
    }
    return false;
}

/* SW_NOTFOUND: the thread is not parked. */
static enum sw_status parked_read(struct sw_objects *objects, uint64_t futex, uint64_t sp, struct sw_lock *lock) {
    uint64_t parked;
    bool is_on_stack = futex > sp && futex - sp < STACK_SCAN_BYTES;
    if (sw_objects_runtime(objects)->version < PARKED_FROM || !is_on_stack ||
        sw_objects_u64_at(objects, futex - 8, &parked) != SW_OK || parked < SW_ADDRESS_MIN)
        return SW_NOTFOUND;
    uint64_t object = parked - sw_objects_layout(objects)->object.size;
    if (sw_lock_read(objects, object, lock) != SW_OK)
        *lock = (struct sw_lock){.kind = SW_LOCK_INTERNAL, .address = parked};
    return SW_OK;
}

enum sw_status sw_lock_awaited(struct sw_objects *objects, const struct sw_thread_look *look,
                               const struct sw_stack *stack, struct sw_lock *lock) {
    uint64_t futex;
    if (!sw_syscall_is_futex_wait(look, &futex))
        return SW_NOTFOUND;
    if (parked_read(objects, futex, look->sp, lock) == SW_OK)
        return SW_OK;
    struct search *search = sw_alloc_zero(sizeof *search);
    if (!search)
        return SW_NOMEM;
    *search = (struct search){.objects = objects, .futex = futex, .lock = lock};
    bool is_found = stack->frame_count > 0 && scan_frame(search, &stack->frames[0]);
    is_found = is_found || scan_stack(search, look->sp);
    sw_free(search);
    return is_found ? SW_OK : SW_NOTFOUND;
}
