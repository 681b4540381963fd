/* layout.c - Finds the table of a release. */
#include "probe/layout_impl.h"

const struct sw_layout *sw_layout_table(uint32_t version, bool is_free_threaded) {
    static const struct {
        uint32_t minor;
        bool is_free_threaded;
        const struct sw_layout *layout;
    } tables[] = {
#define TABLE_ROW(minor, letter, is_free_threaded) {minor, is_free_threaded, &sw_layout_3_##minor##letter},
        SW_LAYOUT_LIST(TABLE_ROW)
#undef TABLE_ROW
    };
    if (version >> 24 != 3)
        return NULL;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (tables[i].minor == (version >> 16 & 255) && tables[i].is_free_threaded == is_free_threaded)
            return tables[i].layout;
    return NULL;
}

const struct sw_layout *sw_layout_for(uint32_t version, bool is_free_threaded) {
    if ((version >> 16 & 255) >= SW_MINOR_FIRST_DEBUG)
        return NULL;
    return sw_layout_table(version, is_free_threaded);
}
