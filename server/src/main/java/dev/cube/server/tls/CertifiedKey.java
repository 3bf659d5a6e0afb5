package dev.cube.server.tls;

import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.time.Instant;

/** A certificate and the private key that belongs to it. */
record CertifiedKey(X509Certificate certificate, PrivateKey key) {
    static final String SIGNATURE = "SHA256withECDSA";

    /** Whether the two belong together. */
    boolean matches() throws GeneralSecurityException {
        byte[] probe = {1, 2, 3};
        Signature signer = Signature.getInstance(SIGNATURE);
        signer.initSign(key);
        signer.update(probe);
        byte[] signature = signer.sign();
        Signature verifier = Signature.getInstance(SIGNATURE);
        verifier.initVerify(certificate.getPublicKey());
        verifier.update(probe);
        return verifier.verify(signature);
    }

    boolean isValid(Instant from, Instant until) {
        return !certificate.getNotBefore().toInstant().isAfter(from)
                && !certificate.getNotAfter().toInstant().isBefore(until);
    }
}
