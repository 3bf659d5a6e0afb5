package dev.cube.image;

/** Is told what is going on, a line at a time, while an image is fetched and unpacked. */
@FunctionalInterface
public interface ImageProgress {
    void line(String text);
}
