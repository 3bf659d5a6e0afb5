package dev.cube.guest;

/** What a channel is opened for, and what the guest may send on it. */
enum Operation {
    START(1, true, 3, false),
    ATTACH(2, true, 3, false),
    PROCESSES(3, false, 1, false),
    SIGNAL(4, false, 0, false),
    RESIZE(5, false, 0, false),
    USER(6, false, 0, false),
    STAT(7, false, 0, false),
    LIST(8, false, 1, false),
    MAKE_DIRECTORY(9, false, 0, false),
    MOVE(10, false, 0, false),
    REMOVE(11, false, 0, false),
    READ(12, true, 1, false),
    WRITE(13, true, 0, false),
    CONNECT(14, true, 1, true),
    METRICS(15, false, 0, false),
    WATCH(16, true, 1, false),
    COMPOSE(17, false, 0, false);

    private final int code;
    private final boolean opens;
    private final int streams;
    private final boolean halfCloses;

    Operation(int code, boolean opens, int streams, boolean halfCloses) {
        this.code = code;
        this.opens = opens;
        this.streams = streams;
        this.halfCloses = halfCloses;
    }

    int code() {
        return code;
    }

    /** Whether the guest answers with OPENED before anything else, unless it fails. */
    boolean opens() {
        return opens;
    }

    /** How many streams of data the guest may send, numbered from 0. */
    int streams() {
        return streams;
    }

    boolean halfCloses() {
        return halfCloses;
    }
}
