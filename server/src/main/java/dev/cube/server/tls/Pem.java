package dev.cube.server.tls;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;

/** Certificates and keys as text, RFC 7468. Keys are PKCS#8. */
final class Pem {
    private static final Base64.Encoder LINES = Base64.getMimeEncoder(64, new byte[] {'\n'});
    private static final String KEY = "PRIVATE KEY";

    private Pem() {}

    static byte[] encode(X509Certificate certificate) throws CertificateException {
        return block("CERTIFICATE", certificate.getEncoded());
    }

    static byte[] encode(PrivateKey key) {
        return block(KEY, key.getEncoded());
    }

    private static byte[] block(String type, byte[] content) {
        String text = "-----BEGIN %s-----\n%s\n-----END %s-----\n".formatted(type, LINES.encodeToString(content), type);
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    /** The first certificate in the text. */
    static X509Certificate certificate(byte[] pem) throws CertificateException {
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(pem));
    }

    static PrivateKey ellipticCurveKey(byte[] pem) throws GeneralSecurityException {
        String text = new String(pem, StandardCharsets.US_ASCII);
        int start = text.indexOf("-----BEGIN " + KEY + "-----");
        int end = text.indexOf("-----END " + KEY + "-----");
        if (start < 0 || end < start) {
            throw new GeneralSecurityException("no private key in PEM form");
        }
        try {
            byte[] content = Base64.getMimeDecoder().decode(text.substring(text.indexOf('\n', start), end));
            return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(content));
        } catch (IllegalArgumentException e) {
            throw new GeneralSecurityException("the private key is damaged", e);
        }
    }
}
