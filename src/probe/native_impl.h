/* native_impl.h - Parts of the unwinder: modules with their symbols and call frame information, registers, memory. */
#ifndef SW_PROBE_NATIVE_IMPL_H
#define SW_PROBE_NATIVE_IMPL_H

#include <elfutils/libdw.h>
#include <signal.h>

#include "base/arena.h"
#include "base/map.h"
#include "probe/native.h"

#if defined(__aarch64__)
enum { REGISTER_SP = 31, REGISTER_RA = 30, REGISTER_FP = 29, REGISTER_COUNT = 33 };
#else
enum { REGISTER_SP = 7, REGISTER_RA = 16, REGISTER_FP = 6, REGISTER_COUNT = 17 };
#endif

/* DWARF numbering. What is not known is not guessed. */
struct registers {
    uint64_t value[REGISTER_COUNT];
    uint64_t known; /* bits */
    uint64_t pc;
};

struct stack_copy {
    uint64_t base; /* address of the first byte, the stack pointer */
    char *bytes;   /* SW_NATIVE_STACK_BYTES_MAX */
    size_t size_bytes;
    bool is_known; /* its mapping was in the list */
};

struct symbol {
    uint64_t start, end; /* in the file's addresses; end == start: size unknown */
    const char *name;    /* in the file's string table */
};

struct module {
    uint64_t start, end; /* of its executable mapping */
    uint64_t offset, device, inode;
    uint64_t bias;
    struct sw_str name; /* base name; in the text of the maps */
    bool is_opened;
    int fd;
    Elf *elf;
    Dwarf_CFI *cfi;         /* owned by elf */
    char *image;            /* of the vdso, owned; else NULL */
    struct symbol *symbols; /* by start */
    size_t symbol_count;
    /* The evaluation loop, in the file's addresses, where its symbol covers little of it. */
    uint64_t eval_start, eval_end;
};

#define EVAL_SYMBOL "_PyEval_EvalFrameDefault"

/* How to get a register of the caller. */
enum rule_kind { RULE_SAME, RULE_UNDEFINED, RULE_AT_CFA, RULE_CFA_PLUS, RULE_EXPRESSION };

struct rule {
    enum rule_kind kind;
    int64_t offset;
};

/* What holds at one program counter. */
struct row {
    uint64_t pc;
    bool is_valid;   /* false: there is no call frame information here */
    bool is_complex; /* some rule is an expression: asked of libdw each time */
    bool is_signal;  /* a signal handler's return frame: the caller's pc is exact */
    int cfa_register;
    int64_t cfa_offset;
    struct rule rules[REGISTER_COUNT];
    struct sw_native_frame frame; /* what is shown for it */
};

struct call {
    uint64_t address; /* 0: empty */
    bool is_call;
};

#define ROWS_MAX 4096             /* kept; a power of two */
#define CALLS_MAX 16384           /* kept; a power of two */
#define SCAN_WORDS_MAX 1024       /* looked through for a return address where nothing better is known */
#define SCAN_READS_MAX 2048       /* words of a target's code read in one unwinding to see whether a call is there */
#define TEXT_BYTES_MAX (64 << 20) /* of all names; beyond, frames have none */
#define NAME_BYTES_MAX 512

struct sw_native {
    const struct sw_target *target;
    struct sw_maps maps;
    struct module *modules; /* by start */
    size_t module_count;
    int64_t loaded_ns;  /* when the list was */
    struct row *rows;   /* ROWS_MAX, by a hash of pc; overwritten on collision */
    struct call *calls; /* CALLS_MAX, likewise: return addresses already looked at */
    unsigned reads_left;
    struct stack_copy copy;
    struct registers registers; /* that belong to the copy */
    struct sw_map texts;        /* names handed out, to where they are kept, in `text` */
    struct sw_arena text;
    int32_t stopped_tid;
    int32_t late_tid;         /* did not stop in time: it is let go as soon as it does */
    int pending_signal;       /* caught by the stop, given back at resume */
    int64_t refused_until_ns; /* stops are not tried until then */
    sigset_t mask;            /* of this thread, without what is held back while has_mask */
    bool has_mask;
};

/* native_module.c */
/* Anew; what is mapped as before stays open. */
enum sw_status sw_native_modules_load(struct sw_native *native, struct sw_error *err);
void sw_native_modules_release(struct sw_native *native);
struct module *sw_native_module_at(struct sw_native *native, uint64_t pc);
/* What fails leaves it without cfi or symbols. */
void sw_native_module_open(struct sw_native *native, struct module *module);
const struct symbol *sw_native_symbol_at(const struct module *module, uint64_t pc);

/* A copy that lives as long as the unwinder; control characters become '?'. Empty for lack of memory. */
struct sw_str sw_native_text_keep(struct sw_native *native, const char *text, size_t len);

/* native_row.c */
struct row *sw_native_row_at(struct sw_native *native, struct module *module, uint64_t pc);
/* The caller's registers, with a pc of 0 when there is no caller; false when a needed register is unknown or memory
 * outside of the copy. */
bool sw_native_step(struct sw_native *native, struct module *module, const struct row *row,
                    struct registers *registers);
bool sw_native_copy_word(const struct sw_native *native, uint64_t address, uint64_t *value);

/* native_unwind.c */
void sw_native_unwind_from(struct sw_native *native, struct registers registers, struct sw_native_stack *stack);

#endif
