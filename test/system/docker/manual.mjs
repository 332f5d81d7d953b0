// The commands of the manual's Docker example, as written there; <router-key> is what `create` printed.
export const create = 'docker run -it --rm hypergate --new'

export const provider1 = `docker run -it --rm -u root --name="hypergate-sp-machine1" \\
  -v /var/run/docker.sock:/var/run/docker.sock \\
  hypergate --router <router-key> --docker --provider --network hypergatenet`

export const database = `docker run -d --rm --name test-mysql \\
  -e MYSQL_ROOT_HOST=% \\
  -e MYSQL_DATABASE=wp \\
  -e MYSQL_ROOT_PASSWORD=secretpassword \\
  --label hypergate.EXPOSE=3306 \\
  mysql`

export const connectDatabase = 'docker network connect hypergatenet test-mysql --alias mysql.hyper'

export const gateway2 = `docker run -it --rm -u root --name="hypergate-gw-machine2" \\
  -v /var/run/docker.sock:/var/run/docker.sock \\
  hypergate --router <router-key> --docker --gateway --listen 0.0.0.0 --network hypergatenet`

export const provider2 = `docker run -it --rm -u root --name="hypergate-sp-machine2" \\
  -v /var/run/docker.sock:/var/run/docker.sock \\
  hypergate --router <router-key> --docker --provider --network hypergatenet`

export const page = `docker run --rm --name test-phpmyadmin -d \\
  -e PMA_HOST=mysql.hyper \\
  --label hypergate.EXPOSE=80 \\
  phpmyadmin`

export const connectPage = 'docker network connect hypergatenet test-phpmyadmin --alias phpmyadmin.hyper'

export const gateway3 = `docker run -it --rm -u root --name="hypergate-gw-machine3" \\
  -v /var/run/docker.sock:/var/run/docker.sock \\
  -p 8080:80 \\
  hypergate --router <router-key> --docker --gateway --listen 0.0.0.0 \\
  --network hypergatenet --exposeOnlyServices phpmyadmin.hyper`

// Outside containers.
export const providerOnHost = 'hypergate --router <router> --docker --provider --network hypergatenet'
export const gatewayOnHost = 'hypergate --router <router> --docker --gateway --listen 0.0.0.0 --network hypergatenet'
