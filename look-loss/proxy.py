# Passes everything to SeaweedFS; the first PUT of a key with "stall" stops being read after 64 KiB and never gets an answer.
import socket,threading,time,sys
stalled=[0]; log=open('/tmp/ll-weed/proxy.log','w',buffering=1)
def pump(a,b):
    try:
        while True:
            d=a.recv(65536)
            if not d: break
            b.sendall(d)
    except OSError: pass
    try: b.shutdown(socket.SHUT_WR)
    except OSError: pass
def handle(c):
    u=socket.create_connection(('127.0.0.1',38107))
    threading.Thread(target=pump,args=(u,c),daemon=True).start()
    while True:
        d=c.recv(65536)
        if not d: break
        if b'PUT /' in d and b'stall.jpg' in d:
            stalled[0]+=1; log.write(f'{time.time():.1f} PUT number {stalled[0]}\n')
            if stalled[0]==1:
                time.sleep(3600)
        u.sendall(d)
    u.close()
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1); s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,65536); s.bind(('127.0.0.1',38190)); s.listen(64)
while True:
    c,_=s.accept(); threading.Thread(target=handle,args=(c,),daemon=True).start()
