// Device features by SIOCETHTOOL, by their names.
#include "clinux.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

enum { MAX_FEATURES = 256, MAX_BLOCKS = MAX_FEATURES / 32 };

struct names {
    unsigned int count;
    char text[MAX_FEATURES][ETH_GSTRING_LEN];
};

static int command(int fd, const char *name, void *data) {
    if (strlen(name) >= IFNAMSIZ) return -ENAMETOOLONG;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, name);
    request.ifr_data = data;
    return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static int read_names(int fd, const char *name, struct names *names) {
    _Alignas(8) char space[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)] = {0};
    struct ethtool_sset_info *info = (void *)space;
    info->cmd = ETHTOOL_GSSET_INFO;
    info->sset_mask = 1ULL << ETH_SS_FEATURES;
    int result = command(fd, name, info);
    if (result < 0) return result;
    uint32_t length = info->data[0];
    if (length == 0 || length > MAX_FEATURES) return -EOPNOTSUPP;
    size_t size = sizeof(struct ethtool_gstrings) + (size_t)length * ETH_GSTRING_LEN;
    struct ethtool_gstrings *strings = calloc(1, size);
    if (!strings) return -ENOMEM;
    strings->cmd = ETHTOOL_GSTRINGS;
    strings->string_set = ETH_SS_FEATURES;
    strings->len = length;
    result = command(fd, name, strings);
    if (result == 0) {
        names->count = length;
        memcpy(names->text, strings->data, (size_t)length * ETH_GSTRING_LEN);
        for (unsigned int i = 0; i < names->count; i++) names->text[i][ETH_GSTRING_LEN - 1] = 0;
    }
    free(strings);
    return result;
}

static int read_state(int fd, const char *name, unsigned int blocks, struct ethtool_get_features_block *state) {
    _Alignas(8) char space[sizeof(struct ethtool_gfeatures) + MAX_BLOCKS * sizeof *state] = {0};
    struct ethtool_gfeatures *features = (void *)space;
    features->cmd = ETHTOOL_GFEATURES;
    features->size = blocks;
    int result = command(fd, name, features);
    if (result == 0) memcpy(state, features->features, blocks * sizeof *state);
    return result;
}

static int leaves_frames_unfinished(const char *feature) {
    if (strncmp(feature, "tx-", 3) != 0) return 0;
    return strncmp(feature, "tx-checksum", 11) == 0 || strncmp(feature, "tx-scatter-gather", 17) == 0 ||
           strncmp(feature, "tx-gso-", 7) == 0 || strstr(feature, "segmentation") != NULL;
}

int clinux_transmit_offloads_off(int fd, const char *name) {
    // Names and their places are the running kernel's: read once, the same for every device.
    static struct names names;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    int result = names.count ? 0 : read_names(fd, name, &names);
    pthread_mutex_unlock(&lock);
    if (result < 0) return result;
    unsigned int blocks = (names.count + 31) / 32;
    struct ethtool_get_features_block state[MAX_BLOCKS];
    result = read_state(fd, name, blocks, state);
    if (result < 0) return result;
    _Alignas(8) char space[sizeof(struct ethtool_sfeatures) + MAX_BLOCKS * sizeof(struct ethtool_set_features_block)] = {0};
    struct ethtool_sfeatures *change = (void *)space;
    change->cmd = ETHTOOL_SFEATURES;
    change->size = blocks;
    for (unsigned int i = 0; i < names.count; i++) {
        uint32_t bit = 1U << (i % 32);
        const struct ethtool_get_features_block *block = &state[i / 32];
        if (!leaves_frames_unfinished(names.text[i])) continue;
        if ((block->never_changed & bit) || !(block->available & bit)) continue;
        change->features[i / 32].valid |= bit;
    }
    return command(fd, name, change);
}

int clinux_feature_is_active(int fd, const char *name, const char *feature, int *active) {
    struct names *names = calloc(1, sizeof *names);
    if (!names) return -ENOMEM;
    struct ethtool_get_features_block state[MAX_BLOCKS];
    int result = read_names(fd, name, names);
    if (result == 0) result = read_state(fd, name, (names->count + 31) / 32, state);
    if (result == 0) {
        result = -ENOENT;
        for (unsigned int i = 0; i < names->count; i++) {
            if (strcmp(names->text[i], feature) != 0) continue;
            *active = (state[i / 32].active >> (i % 32)) & 1;
            result = 0;
            break;
        }
    }
    free(names);
    return result;
}

static struct names *names_of(int fd, const char *name, struct ethtool_get_features_block *state, int *result) {
    struct names *names = calloc(1, sizeof *names);
    *result = names ? read_names(fd, name, names) : -ENOMEM;
    if (*result == 0) *result = read_state(fd, name, (names->count + 31) / 32, state);
    if (*result == 0) return names;
    free(names);
    return NULL;
}

static int is_changeable(const struct ethtool_get_features_block *state, unsigned int i) {
    uint32_t bit = 1U << (i % 32);
    return (state[i / 32].available & bit) && !(state[i / 32].never_changed & bit);
}

int clinux_changeable_features(int fd, const char *name, char *text, size_t size) {
    struct ethtool_get_features_block state[MAX_BLOCKS];
    int result;
    struct names *names = names_of(fd, name, state, &result);
    if (!names) return result;
    size_t length = 0;
    for (unsigned int i = 0; i < names->count && result == 0; i++) {
        size_t octets = strlen(names->text[i]);
        if (!is_changeable(state, i) || !((state[i / 32].requested >> (i % 32)) & 1) || octets == 0) continue;
        if (length + octets + 2 > size) {
            result = -ENOSPC;
        } else {
            memcpy(text + length, names->text[i], octets);
            length += octets;
            text[length++] = '\n';
        }
    }
    free(names);
    if (size > length) text[length] = 0;
    return result < 0 ? result : (int)length;
}

static int is_in(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');
        if ((size_t)(end - line) == length && memcmp(line, word, length) == 0) return 1;
        line = *end ? end + 1 : end;
    }
    return 0;
}

int clinux_set_features(int fd, const char *name, const char *text, int on) {
    struct ethtool_get_features_block state[MAX_BLOCKS];
    int result;
    struct names *names = names_of(fd, name, state, &result);
    if (!names) return result;
    _Alignas(8) char space[sizeof(struct ethtool_sfeatures) + MAX_BLOCKS * sizeof(struct ethtool_set_features_block)] = {0};
    struct ethtool_sfeatures *change = (void *)space;
    change->cmd = ETHTOOL_SFEATURES;
    change->size = (names->count + 31) / 32;
    for (unsigned int i = 0; i < names->count; i++) {
        if (!is_changeable(state, i) || !is_in(text, names->text[i])) continue;
        change->features[i / 32].valid |= 1U << (i % 32);
        if (on) change->features[i / 32].requested |= 1U << (i % 32);
    }
    free(names);
    result = command(fd, name, change);
    return result < 0 ? result : 0;
}
