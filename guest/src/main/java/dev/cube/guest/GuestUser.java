package dev.cube.guest;

/** An entry of the guest's {@code /etc/passwd}. */
public record GuestUser(String name, int uid, int gid, String home, String shell) {}
