package dev.cube.master;

/** What becomes of a sandbox at the end of its timeout. */
public enum OnTimeout {
    KILL,
    /** It is paused, and goes on when it is asked to. */
    PAUSE,
    /** It is paused without its memory, and boots when it is asked to go on. */
    PAUSE_WITHOUT_MEMORY,
    /** It is paused, and goes on at the next request to any of its ports. */
    PAUSE_UNTIL_USED;

    static OnTimeout of(boolean pauses, boolean resumes, boolean keepsMemory) {
        if (!pauses) {
            return KILL;
        }
        return !keepsMemory ? PAUSE_WITHOUT_MEMORY : resumes ? PAUSE_UNTIL_USED : PAUSE;
    }

    public boolean pauses() {
        return this != KILL;
    }

    boolean keepsMemory() {
        return this != PAUSE_WITHOUT_MEMORY;
    }

    public boolean resumes() {
        return this == PAUSE_UNTIL_USED;
    }
}
