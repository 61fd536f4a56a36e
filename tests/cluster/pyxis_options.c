/*
 * A stand-in for pyxis: a SPANK plugin that declares some of its options and does nothing with them. sbatch and srun take
 * the options then, as they do where pyxis is installed. Names and kinds as in pyxis 0.24.0.
 */
#include <stddef.h>

#include <slurm/spank.h>

SPANK_PLUGIN(pyxis_options, 1);

static int accept(int value, const char *text, int remote) {
    (void)value, (void)text, (void)remote;
    return 0;
}

static struct spank_option options[] = {
    {"container-image", "IMAGE", "[stand-in for pyxis]", 1, 1, accept},
    {"container-mounts", "SRC:DST", "[stand-in for pyxis]", 1, 2, accept},
    {"container-writable", NULL, "[stand-in for pyxis]", 0, 3, accept},
    SPANK_OPTIONS_TABLE_END,
};

int slurm_spank_init(spank_t spank, int count, char **words) {
    (void)count, (void)words;
    for (struct spank_option *option = options; option->name; option++)
        if (spank_option_register(spank, option) != ESPANK_SUCCESS)
            return -1;
    return 0;
}
