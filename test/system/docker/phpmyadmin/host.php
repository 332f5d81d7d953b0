<?php
$cfg['Servers'] = [1 => ['host' => getenv('PMA_HOST'), 'auth_type' => 'cookie']];
