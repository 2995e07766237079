package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certificates in PEM: an authority of this control plane alone, the certificate that API server
// and nodes show, and the key that signs the tokens of service accounts.
type certificates struct {
	authority, server, serverKey, accountsKey string
}

func newCertificates() (certificates, error) {
	none := certificates{}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, err
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, err
	}
	accountsKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, err
	}
	authority := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost", "kubernetes.default.svc"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authorityDer, err := x509.CreateCertificate(rand.Reader, &authority, &authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return none, err
	}
	serverDer, err := x509.CreateCertificate(rand.Reader, &server, &authority, &serverKey.PublicKey, authorityKey)
	if err != nil {
		return none, err
	}
	serverPem, err := keyPem(serverKey)
	if err != nil {
		return none, err
	}
	accountsPem, err := keyPem(accountsKey)
	if err != nil {
		return none, err
	}
	return certificates{certificatePem(authorityDer), certificatePem(serverDer), serverPem, accountsPem}, nil
}

func certificatePem(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func keyPem(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), err
}

// secret is a random token.
func secret() (string, error) {
	bytes := make([]byte, 16)
	_, err := rand.Read(bytes)
	return hex.EncodeToString(bytes), err
}

// kubeconfig reaches the API server with this token and trusts the control plane's own authority
// alone.
func (l layout) kubeconfig(authority, token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: https://127.0.0.1:%d
    certificate-authority-data: %s
users:
- name: test
  user:
    token: %s
contexts:
- name: test
  context: {cluster: test, user: test, namespace: default}
current-context: test
`, l.api, base64.StdEncoding.EncodeToString([]byte(authority)), token)
}
